"""What each op can reach besides the values that it is given: a table of names for each kind.

Every op that TensorFlow 2.21 registers (:mod:`explorer.savedmodel.op_table`) and every op of earlier releases that is
gone was looked at once: what stands below does what its heading says, what stands nowhere below only computes, or keeps
its state in the memory of the process. An op that is in neither list is ``unknown``: whether it is harmless can't be
told. ``tools/check_capability_ops.py`` says what a newer TensorFlow has that nobody has looked at yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from explorer.savedmodel.op_table import op_table
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.wire import LENGTH

Kind = Literal["read_file", "write_file", "network", "python", "device", "native_code", "unknown"]

KIND_TITLES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "read_file": "reads files",
        "write_file": "writes files",
        "network": "talks to other machines",
        "python": "calls Python functions of the process",
        "device": "uses special hardware, or acts on the whole process",
        "native_code": "runs compiled code or another program",
        "unknown": "does what nobody can tell from the model",
    }
)
"""Kind → what an op of it does, as the rest of a sentence."""

REVIEWED: Final = "97b658f3111bd36e29b43f3491525940"
"""The digest of the names of the ops that were looked at: see :func:`reviewed_digest`."""

_READ_FILE: Final = """
ReadFile MatchingFiles MatchingFilesDataset ExperimentalMatchingFilesDataset ImmutableConst RecordInput
InitializeTableFromTextFile InitializeTableFromTextFileV2 GenerateVocabRemapping FixedUnigramCandidateSampler
LoadAndRemapMatrix Restore RestoreSlice RestoreV2 DTensorRestoreV2 MergeV2Checkpoints DecodeProtoV2 EncodeProto
TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2
WholeFileReader WholeFileReaderV2 LMDBReader IdentityReader IdentityReaderV2 ReaderRead ReaderReadV2 ReaderReadUpTo
ReaderReadUpToV2 ReaderNumRecordsProduced ReaderNumRecordsProducedV2 ReaderNumWorkUnitsCompleted
ReaderNumWorkUnitsCompletedV2 ReaderReset ReaderResetV2 ReaderRestoreState ReaderRestoreStateV2 ReaderSerializeState
ReaderSerializeStateV2
TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 CSVDataset
CSVDatasetV2 ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset SqlDataset ExperimentalSqlDataset
LoadDataset ListSnapshotChunksDataset SnapshotChunkDataset SnapshotDatasetReader SnapshotNestedDatasetReader
SnapshotDataset SnapshotDatasetV2 CacheDataset CacheDatasetV2
Skipgram SequenceFileDataset RestoreIterator InitializeTRTResource
"""

_WRITE_FILE: Final = """
WriteFile ShardedFilename ShardedFilespec Save SaveSlices SaveV2 MergeV2Checkpoints SaveDataset SaveDatasetV2
DistributedSave DatasetToTFRecord ExperimentalDatasetToTFRecord SnapshotDataset SnapshotDatasetV2 CacheDataset
CacheDatasetV2 PrintV2 DumpTensor CreateSummaryFileWriter CreateSummaryDbWriter FlushSummaryWriter CloseSummaryWriter
ImportEvent WriteSummary WriteAudioSummary WriteGraphSummary WriteHistogramSummary WriteImageSummary
WriteRawProtoSummary WriteScalarSummary StatsAggregatorSetSummaryWriter CalibrationStatisticsSaver
StoreMinibatchStatisticsInFdo DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
SummaryWriter SaveIterator SerializeTRTResource DecodeAudio DecodeAudioV2 DecodeVideo EncodeAudio EncodeAudioV2
"""
"""Some of these only prepare it, as those that make the names of checkpoint files or the handle of a writer do."""

_NETWORK: Final = """
RpcCall RpcCheckStatus RpcClient RpcGetValue RpcServer RpcServerRegister RpcServerStart DeleteRpcFutureResource
DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset RegisterDatasetV2
DistributedSave RemoteCall FileSystemSetConfiguration
DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
CollectiveAllToAllV2 CollectiveAllToAllV3 CollectiveAssignGroupV2 CollectiveBcastRecv CollectiveBcastRecvV2
CollectiveBcastSend CollectiveBcastSendV2 CollectiveGather CollectiveGatherV2 CollectiveInitializeCommunicator
CollectivePermute CollectiveReduce CollectiveReduceScatterV2 CollectiveReduceV2 CollectiveReduceV3
Rpc TryRpc KafkaDataset KinesisDataset IgniteDataset BigQueryReader GenerateBigQueryReaderPartitions
GcsConfigureBlockCache GcsConfigureCredentials BigtableClient BigtableTable BigtableLookupDataset
BigtablePrefixKeyDataset BigtableRangeKeyDataset BigtableSampleKeyPairsDataset BigtableSampleKeysDataset
BigtableScanDataset DatasetToBigtable
"""

_PYTHON: Final = "PyFunc PyFuncStateless EagerPyFunc"

_DEVICE: Final = """
Abort WorkerHeartbeat SyncDevice Send Recv _Send _Recv _HostSend _HostRecv RemoteCall
InfeedDequeue InfeedDequeueTuple InfeedEnqueue InfeedEnqueuePrelinearizedBuffer InfeedEnqueueTuple
OutfeedDequeue OutfeedDequeueTuple OutfeedDequeueTupleV2 OutfeedDequeueV2 OutfeedEnqueue OutfeedEnqueueTuple
NcclAllReduce NcclBroadcast NcclReduce _NcclBroadcastRecv _NcclBroadcastSend _NcclReduceRecv _NcclReduceSend
NcclBroadcastRecv NcclBroadcastSend NcclReduceRecv NcclReduceSend CrossReplicaSum AllToAll
DTensorAllGather DTensorAllReduce DTensorAllScatter DTensorAllToAll DTensorReduceScatter DTensorRestoreV2
UpdateTaskIdAndGlobalCoreArray XlaHostCompute _XlaHostComputeMlir XlaSend XlaRecv XlaSendToHost XlaRecvFromHost
_XlaRecvAtHost _XlaRecvAtHostV2 _XlaSendFromHost _XlaSendFromHostV2
CreateTRTResourceHandle InitializeTRTResource GetCalibrationDataOp RemoteFusedGraphExecute
"""
"""Besides these, every op with TPU in its name."""

_NATIVE_CODE: Final = """
XlaCallModule XlaCustomCall XlaCustomCallV2 MlirPassthroughOp _XlaHostComputeMlir _XlaRun
_XlaCompileMlirPlaceholderProgramKey _TPUCompileMlir TPUExecute TPUExecuteAndUpdateVariables
TRTEngineOp RemoteFusedGraphExecute DecodeAudio DecodeAudioV2 DecodeVideo EncodeAudio EncodeAudioV2
"""
"""Programs in another form than nodes, in which nobody can look for ops; the audio ops of TensorFlow 1 start ffmpeg."""

_UNKNOWN: Final = "DatasetFromGraph"
"""TensorFlow's own, but it runs a graph that is a value, so what it does isn't written in the model's graph."""

_GONE: Final = """
AdjustHsvInYiq BipartiteMatch BucketizeWithInputBoundaries BuildCategoricalEqualitySplits BuildDenseInequalitySplits
BuildSparseInequalitySplits BytesInUse BytesLimit CenterTreeEnsembleBias CompareAndBitpack CreateFertileStatsVariable
CreateQuantileAccumulator CreateStatsAccumulatorScalar CreateStatsAccumulatorTensor CreateTreeEnsembleVariable
CreateTreeVariable CreateVariableOp CudnnRNNParamsFromCanonical DecisionTreeEnsembleResourceHandleOp
DecisionTreeResourceHandleOp DecodeLibsvm EnqueueInQueueDataset ExperimentalIdentityIndexedDataset
ExperimentalIndexedDatasetGet ExperimentalIndexedDatasetMaterialize ExperimentalMaterializedIndexDatasetHandle
ExperimentalNumaMapAndBatchDataset FeatureStatsDataset FeatureUsageCounts FertileStatsDeserialize
FertileStatsIsInitializedOp FertileStatsResourceHandleOp FertileStatsSerialize FinalizeTree FunctionBufferingResource
FunctionBufferingResourceGetNext FunctionBufferingResourceReset FusedConv2DBiasActivation GatherTree
GradientTreesPartitionExamples GradientTreesPrediction GradientTreesPredictionVerbose GrowTreeEnsemble GrowTreeV4
HardRoutingFunction HyperplaneLSHProbes ImageConnectedComponents ImageProjectiveTransform KFeatureGradient
KFeatureRoutingFunction MakeQuantileSummaries MapAndBatchDatasetV2 MaskedMatmul MaxBytesInUse ObtainNext
PeriodicResample PeriodicResampleOpGrad PmfToQuantizedCdf PrependFromQueueAndPaddedBatchDataset ProcessInputV4
QuantileAccumulatorAddSummaries QuantileAccumulatorDeserialize QuantileAccumulatorFlush
QuantileAccumulatorFlushSummary QuantileAccumulatorGetBuckets QuantileAccumulatorIsInitialized
QuantileAccumulatorSerialize QuantileBuckets QuantileStreamResourceHandleOp Quantiles RangeDecode RangeEncode
ReduceSliceMax ReduceSliceMin ReduceSliceProd ReduceSliceSum ReinterpretStringToFloat Resampler ResamplerGrad
RoutingFunction RoutingGradient ScatterAddNdim SingleImageRandomDotStereograms SinkDataset SkipGramGenerateCandidates
SlideDataset SloppyInterleaveDataset SparseFeatureCross SparseFeatureCrossV2 StatsAccumulatorScalarAdd
StatsAccumulatorScalarDeserialize StatsAccumulatorScalarFlush StatsAccumulatorScalarIsInitialized
StatsAccumulatorScalarMakeSummary StatsAccumulatorScalarResourceHandleOp StatsAccumulatorScalarSerialize
StatsAccumulatorTensorAdd StatsAccumulatorTensorDeserialize StatsAccumulatorTensorFlush
StatsAccumulatorTensorIsInitialized StatsAccumulatorTensorMakeSummary StatsAccumulatorTensorResourceHandleOp
StatsAccumulatorTensorSerialize StochasticHardRoutingFunction StochasticHardRoutingGradient
TensorForestCreateTreeVariable TensorForestTreeDeserialize TensorForestTreeIsInitializedOp TensorForestTreePredict
TensorForestTreeResourceHandleOp TensorForestTreeSerialize TensorForestTreeSize TraverseTreeV4 TreeDeserialize
TreeEnsembleDeserialize TreeEnsembleIsInitializedOp TreeEnsembleSerialize TreeEnsembleStampToken TreeEnsembleStats
TreeEnsembleUsedHandlers TreeIsInitializedOp TreePredictionsV4 TreeSerialize TreeSize UnpackPath UpdateModelV4
WALSComputePartialLhsAndRhs ZeroInitializer ZeroVarInitializer
"""
"""Ops of TensorFlow 0.12 to 2.4 and of their ``contrib`` that 2.21 no longer has, and that only compute."""

_GONE_TPU: Final = """
TPUReplicate TPUEmbeddingEnqueueSparseBatch TPUEmbeddingLoadAdagradParameters TPUEmbeddingLoadGradientDescentParameters
TPUEmbeddingReceiveActivations TPUEmbeddingRetrieveAdagradParameters TPUEmbeddingRetrieveGradientDescentParameters
TPUEmbeddingSendGradients
"""
_GONE_TPU_DEBUG: Final = tuple(
    f"{verb}TPUEmbedding{optimizer}ParametersGradAccumDebug"
    for verb in ("Load", "Retrieve")
    for optimizer in (
        *("ADAM", "Adadelta", "Adagrad", "FTRL", "Momentum", "ProximalAdagrad", "ProximalYogi", "RMSProp"),
        "StochasticGradientDescent",
    )
)

# OpDef.attr and OpDef.AttrDef.type (op_def.proto)
_ATTR: Final = 4 << 3 | LENGTH
_ATTR_TYPE: Final = 2 << 3 | LENGTH

_BRANCH: Final = frozenset({"If", "StatelessIf", "_If", "XlaIf", "Case", "StatelessCase", "RiscCondition"})
_LOOP: Final = frozenset({"While", "StatelessWhile", "_While", "XlaWhile", "For", "RiscWhile"})


@cache
def kind_table() -> Mapping[str, tuple[Kind, ...]]:
    """Op → what it can reach, for every op that can reach something."""
    headings: tuple[tuple[Kind, str], ...] = (
        ("read_file", _READ_FILE),
        ("write_file", _WRITE_FILE),
        ("network", _NETWORK),
        ("python", _PYTHON),
        ("device", _DEVICE),
        ("native_code", _NATIVE_CODE),
        ("unknown", _UNKNOWN),
    )
    found: dict[str, tuple[Kind, ...]] = {}
    for kind, names in headings:
        for op in names.split():
            found[op] = (*found.get(op, ()), kind)
    for op in (*op_table(), *_GONE_TPU.split(), *_GONE_TPU_DEBUG):
        if ("TPU" in op or "Tpu" in op) and "device" not in found.get(op, ()):
            found[op] = (*found.get(op, ()), "device")
    return MappingProxyType(found)


def kinds_of(op: str) -> tuple[Kind, ...]:
    """What an op can reach: nothing for one that only computes, ``unknown`` for one that is not TensorFlow's."""
    kinds = kind_table().get(op)
    if kinds is not None:
        return kinds
    return () if op in op_table() or op in _gone() else ("unknown",)


@cache
def carries_functions(op: str) -> bool:
    """Whether nodes of an op may name functions that they run; of an unknown op one has to look."""
    definition = op_table().get(op)
    if definition is None:
        return True
    attributes = [part for tag, _, part in iter_fields(definition) if tag == _ATTR]
    return any(
        inner == _ATTR_TYPE and bytes(value) in (b"func", b"list(func)")
        for attribute in attributes
        for inner, _, value in iter_fields(attribute)
    )


def way_into(op: str) -> Literal["call", "branch", "loop", "dataset", "map"]:
    """How a node of an op runs the functions that it names."""
    if op in _BRANCH:
        return "branch"
    if op in _LOOP:
        return "loop"
    if op == "MapDefun":
        return "map"
    return "dataset" if "Dataset" in op or op == "OneShotIterator" else "call"


def reviewed_digest() -> str:
    """The digest of the names of all ops in the table: another one than ``REVIEWED`` means that ops came in unseen."""
    return hashlib.sha256("\n".join(sorted(op_table())).encode()).hexdigest()[:32]


@cache
def _gone() -> frozenset[str]:
    return frozenset(_GONE.split())
