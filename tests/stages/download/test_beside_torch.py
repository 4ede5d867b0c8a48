"""download's checks of a model where torch is installed, as where one environment serves all stages."""

import subprocess

from tests.support.sandbox import ROOT, executable

CHECK = """
import sys
from osft_download.base_model.values import check_values
from osft_workspace import UserError
from transformers import AutoConfig

for dtype in sys.argv[1:]:
    raw = {"model_type": "llama", "dtype": dtype}
    try:
        check_values("model", raw, AutoConfig.for_model(**raw), resize=False)
    except UserError as error:
        print(error)
"""


def test_number_formats_are_known_also_where_torch_is_installed() -> None:
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(map(str, (ROOT / "images").glob("*/")))}
    command = [executable("train", "python"), "-c", CHECK, "bfloat16", "float32", "float16", "float8_e4m3fn"]
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    assert len(said) == 1 and "gives dtype as torch.float8_e4m3fn, expected one of float32" in said[0]
