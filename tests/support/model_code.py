"""Code planted into a model folder in every place that a library would load it from."""

from collections.abc import Callable
from pathlib import Path

from tests.support.model_folders import edit, write_json


def canary(folder: Path, name: str, mark: Path, rest: str = "") -> None:
    """Write a module that leaves a mark when it runs."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    leave = f"open({str(mark)!r}, 'a').write(__name__ + ' ' + str(os.getpid()) + '\\n')"
    path.write_text(f"import os\n{leave}\n{rest}")


def of_config(folder: Path, mark: Path) -> None:
    """Classes of its own for a type that transformers knows."""
    canary(
        folder,
        "own_model.py",
        mark,
        "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
        "class Config(LlamaConfig):\n    pass\n\n\n"
        "class Model(LlamaForCausalLM):\n    config_class = Config\n",
    )
    own = {"AutoConfig": "own_model.Config", "AutoModelForCausalLM": "own_model.Model"}
    edit(folder / "config.json", lambda value: value.update(auto_map=own))


def of_tokenizer(folder: Path, mark: Path) -> None:
    """Its own tokenizer class."""
    canary(
        folder,
        "own_tokenizer.py",
        mark,
        "from transformers import PreTrainedTokenizerFast\n\n\n"
        "class Own(PreTrainedTokenizerFast):\n    pass\n",
    )
    own = {"AutoTokenizer": [None, "own_tokenizer.Own"]}
    edit(folder / "tokenizer_config.json", lambda value: value.update(auto_map=own))


def of_processor(folder: Path, mark: Path) -> None:
    """Processors of its own."""
    canary(folder, "own_processor.py", mark, "class Own:\n    pass\n")
    own = {"AutoProcessor": "own_processor.Own", "AutoImageProcessor": "own_processor.Own"}
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        write_json(folder / name, {"auto_map": own})


def of_generation(folder: Path, mark: Path) -> None:
    """Its own way to generate."""
    canary(folder, "custom_generate/generate.py", mark, "def generate(model, **more):\n    return None\n")
    edit(folder / "generation_config.json", lambda value: value.update(custom_generate="org/generates"))


def of_kernels(folder: Path, mark: Path) -> None:
    """Kernels of a repository."""
    named = {"attn_implementation": "org/kernel", "experts_implementation": "org/kernel", "use_kernels": True}
    edit(folder / "config.json", lambda value: value.update(named))


def of_repository(folder: Path, mark: Path) -> None:
    """Code in another repository of the hub."""
    own = {"AutoConfig": "org/code--own_model.Config", "AutoModelForCausalLM": "org/code--own_model.Model"}
    edit(folder / "config.json", lambda value: value.update(auto_map=own))


PLACES: dict[str, Callable[[Path, Path], None]] = {
    "config": of_config,
    "tokenizer": of_tokenizer,
    "processor": of_processor,
    "generation": of_generation,
    "kernels": of_kernels,
    "repository": of_repository,
}


def plant(folder: Path, mark: Path, *places: str) -> Path:
    """Plant code in these places, or in all of them."""
    for place in places or [name for name in PLACES if name not in ("repository", "kernels")]:
        PLACES[place](folder, mark)
    return folder


def village_model(folder: Path, mark: Path) -> Path:
    """Make a folder of Llama's weights into a type that only its own code can load."""
    canary(
        folder,
        "village.py",
        mark,
        "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
        "class VillageConfig(LlamaConfig):\n    model_type = 'village'\n\n\n"
        "class VillageForCausalLM(LlamaForCausalLM):\n    config_class = VillageConfig\n",
    )
    own = {"AutoConfig": "village.VillageConfig", "AutoModelForCausalLM": "village.VillageForCausalLM"}
    edit(folder / "config.json", lambda value: value.update(auto_map=own, model_type="village"))
    return folder


def settings_left(folder: Path) -> list[str]:
    """Return names of settings and files in a folder that would load code."""
    left = [path.name for path in folder.rglob("*.py")]
    for path in folder.glob("*.json"):
        text = path.read_text()
        left += [name for name in ("auto_map", "custom_generate", "org/") if name in text]
    return left
