"""``handover``: what a server that is made for production needs in order to serve a model."""

from __future__ import annotations

import argparse

from explorer.cli.printing import print_text, tag_list, version_labels


def handover(options: argparse.Namespace) -> None:
    """Prints a command or a configuration."""
    from explorer.savedmodel.opening import open_saved_model
    from explorer.serving.handover import docker_command, kserve_yaml, models_config
    from explorer.serving.triton import triton_config

    model = open_saved_model(options.path)
    tags = None if options.tags is None else tag_list(options.tags)
    if options.to == "docker":
        text = docker_command(model, tags=tags, model_name=options.name)
    elif options.to == "models.config":
        text = models_config(model, model_name=options.name, labels=version_labels(options.label))
    elif options.to == "kserve":
        text = kserve_yaml(model, tags=tags, name=options.name)
    else:
        text = triton_config(model, options.signature, tags=tags, model_name=options.name)
    print_text(text.rstrip("\n"))
