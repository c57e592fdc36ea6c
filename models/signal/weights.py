"""Which weights belong to this code. A file that is not the expected one is refused."""

from dataclasses import replace

from models.signal import explain
from models.signal import lethal as _lethal
from models.signal.trees import Trees, load, read

LETHAL_SHA256 = "b90f0611502cbe7ddc5e2d35dec6950ea7d7231396afe50aeaed9aa21938c90f"
MEANING_SHA256 = "ccd5025f64fb0d22a14d30c51a439be938da4cc45343304df55723a38200338a"

FOLDS_SHA256 = {
    "419": "1a2d2b3ce1d820934dc1ec24c486441f5c962f353435c9aa3bfa0de3d1d26240",
    "421": "2402c632f93e7c70a704ee83b32c30ce63e490e6657f6715ba4e705df3527d84",
    "422": "62c14460dab71804df8b8996191d1a71127065c9420647025c2d7704c78bbda9",
    "424": "235f836f4239d66644547b0443f8b304cf5519d744312ba1d236988235967b3b",
    "427": "8dbd77fe319e665b98d9822890f9fc42871a3ed603e2d766d59de99a2fcb954c",
    "428": "edd6eb08c23d738ac61c790f2118e177d08a81524a61fcde934af072fc4f26b6",
    "430": "3486a27b498dfe99dce8de2d4da989652c89e0bb002de594251250923607b070",
    "602": "81d2f2b63c5a4e6b1d0f50a362679ebee54c97811b887c786224915837a25ee5",
    "607": "72023cd849466d35ccaef87d0e4402078b8cede2bb5bce917b30ac3765524560",
    "611": "e3df723efbd591d158f59df46f85eada156008a02f829f8ad0bbfca013deb0c4",
    "615": "92d860c9d82d7df7f44623d6d8ef74a0bf6585a44bd789c4d200a104ac30eecd",
    "ds1-0": "cf35b96341259a14045277fce5f91cc9d8bf35de9ff427d8f49aabc513ad398b",
    "ds1-1": "0b5d70eba53c15b2493b0bb6228bca17918a6e42c43af094c497fba1bd9e1f43",
    "ds1-2": "7f866c8fa4c5219f59b3255a502e63b828fdb8aa6551a39263af65ac967e4ad0",
    "ds1-3": "6003023f800a49e88f41e66d40e6b4657cd3b61c6a7661de87888100f1f147d3",
}


def lethal() -> Trees:
    """The trees of `models.signal.lethal`, outputs lethal and fibrillation, with what their scores mean."""
    trees = load("lethal.json", LETHAL_SHA256, _lethal.FEATURES)
    return replace(trees, meaning=explain.parse(read("lethal-meaning.json"), MEANING_SHA256, trees))


def lethal_without(fold: str) -> Trees:
    """Trees that never saw a record of this fold: a record of vfdb, or `ds1-0` to `ds1-3`. For figures only."""
    return load(f"folds/lethal-{fold}.json", FOLDS_SHA256[fold], _lethal.FEATURES)
