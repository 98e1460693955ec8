"""Says which ops of the installed TensorFlow nobody has looked at for ``explorer/checking/capability_ops.py``.

Whoever makes the table of ops anew (``tools/make_op_table.py``) looks at each of these, writes those that reach out of
the graph under the right heading, and then writes the new digest to ``REVIEWED``::

    python tools/check_capability_ops.py     # lists them; the exit status is 1 where there are any
"""

from __future__ import annotations

import sys

from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api

from explorer.checking.capability_ops import REVIEWED, kind_table, kinds_of, reviewed_digest


def main() -> int:
    """Lists the ops; the exit status tells whether there are any."""
    registered = op_def_pb2.OpList.FromString(c_api.TF_GetBuffer(c_api.TF_GetAllOpList()))
    fresh = sorted(op.name for op in registered.op if kinds_of(op.name) == ("unknown",) and op.name not in kind_table())
    for name in fresh:
        sys.stdout.write(f"{name}\n")
    digest = reviewed_digest()
    if digest != REVIEWED:
        sys.stdout.write(f"the table of ops is another one than was looked at; its digest is {digest}\n")
    return 1 if fresh or digest != REVIEWED else 0


if __name__ == "__main__":
    sys.exit(main())
