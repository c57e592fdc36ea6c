# What we call of pcodec 1.1, which ships no types.
class DeltaSpec:
    @staticmethod
    def no_op() -> DeltaSpec: ...

class ModeSpec:
    @staticmethod
    def classic() -> ModeSpec: ...

class PagingSpec:
    @staticmethod
    def equal_pages_up_to(n: int) -> PagingSpec: ...

class ChunkConfig:
    def __init__(
        self,
        *,
        compression_level: int = ...,
        mode_spec: ModeSpec = ...,
        delta_spec: DeltaSpec = ...,
        paging_spec: PagingSpec = ...,
    ) -> None: ...
