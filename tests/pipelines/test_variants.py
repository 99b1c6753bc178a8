"""Variants: layers of their own above those of the slim image, which both share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import config, variants
from pipelines.errors import PipelineError

HERE = Path(__file__).resolve().parents[2]
Build = Callable[..., subprocess.CompletedProcess[str]]
EXTRAS = ("iniconfig", "pluggy")
TABLE = """
[tool.pipelines.variants.tiny]
requirements = "tiny.txt"
apart = ["plug*"]
"""


def _locked(names: tuple[str, ...]) -> str:
    """Requirements with their hashes, as this project has them."""
    known = variants.requirements((HERE / "requirements/development.txt").read_text(), "development.txt")
    return "".join(known[name] for name in names)


@pytest.fixture
def varied(plain: Path) -> Path:
    """The plain project with a variant of two distributions, one of them apart, and one that the project has itself."""
    (plain / "tiny.txt").write_text(_locked(EXTRAS) + (plain / "requirements.txt").read_text())
    (plain / "pyproject.toml").write_text((plain / "pyproject.toml").read_text() + TABLE)
    return plain


def _image(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "build.json").read_text())["images"]["distroless"]
    return found


def test_a_variant_adds_layers_and_shares_all_others_and_an_edit_makes_only_the_code_anew(
    varied: Path, build: Build, tmp_path: Path
) -> None:
    for chosen in ([], ["--variant", "tiny"]):
        done = build(varied, "--no-run", "--target", "distroless", *chosen)
        assert done.returncode == 0, done.stderr[-3000:]
    slim, tiny = _image(varied / "dist"), _image(varied / "dist-tiny")
    assert [layer["name"] for layer in tiny["layers"]] == [
        *("base", "dependencies", "pluggy", variants.OTHERS, "application"),
    ]
    shared = [layer["digest"] for layer in tiny["layers"] if layer["name"] not in ("pluggy", variants.OTHERS)]
    assert shared == [layer["digest"] for layer in slim["layers"]]
    held = {layer["name"]: layer["holds"] for layer in tiny["layers"]}
    assert [len(held["pluggy"]), held[variants.OTHERS][0].partition(" ")[0]] == [1, "iniconfig"]

    components = json.loads((varied / "dist-tiny/sbom/distroless.cdx.json").read_text())
    found = {each["name"]: each for each in components["components"]}
    assert all(found[name]["hashes"] for name in EXTRAS)
    assert components["compositions"][0]["aggregate"] == "complete"
    statement = json.loads((varied / "dist-tiny/provenance/distroless.json").read_text())
    assert statement["predicate"]["buildDefinition"]["externalParameters"]["variant"] == "tiny"
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {each["name"] for each in materials if "variant" in each["annotations"]["stages"]} == set(EXTRAS)
    assert "iniconfig" not in (varied / "dist/sbom/distroless.cdx.json").read_text()

    program = "import iniconfig, pluggy, hello.app; open('/out/said', 'w').write(pluggy.__version__)"
    words = ["--engine", "embedded", "--project", str(varied), "--image", str(varied / "dist-tiny/distroless")]
    words += ["--output", str(tmp_path / "out"), "--", "python3", "-c", program]
    ran = subprocess.run(
        [sys.executable, str(HERE / "pipelines/in_image.py"), *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["said"]
    assert (tmp_path / "out/said").read_text() == held["pluggy"][0].partition(" ")[2]

    code = varied / "hello/app.py"
    code.write_text(code.read_text() + f"\n# edited {os.urandom(8).hex()}\n")
    done = build(varied, "--no-run", "--target", "distroless", "--variant", "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    again = _image(varied / "dist-tiny")
    changed = [one["name"] for one, two in zip(tiny["layers"], again["layers"], strict=True) if one != two]
    assert changed == ["application"]
    stages = {stage["name"]: stage for stage in json.loads((varied / "dist-tiny/build.json").read_text())["stages"]}
    assert stages["variant"]["steps"]["ran"] == 0 and stages["application"]["steps"]["ran"] == 2


def test_a_variant_that_contradicts_the_project_is_refused_by_name(varied: Path, build: Build) -> None:
    text = (varied / "tiny.txt").read_text()
    (varied / "tiny.txt").write_text(text.replace("h11==0.16.0", "h11==0.14.0"))
    done = build(varied, "--variant", "tiny")
    assert done.returncode == 1
    assert "tiny.txt: h11 0.14.0, and the project's own requirements have 0.16.0" in done.stderr
    assert not (varied / "dist-tiny").exists()


def test_an_unknown_variant_is_refused_with_those_that_there_are(varied: Path, build: Build) -> None:
    done = build(varied, "--variant", "big")
    assert (done.returncode, done.stderr) == (1, "build: unknown variant 'big'; known are: tiny\n")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"tiny": {}}, "needs 'requirements' or 'packages'"),
        ({"tiny": {"requirement": "x"}}, "has no key 'requirement'"),
        ({"Tiny one": {"requirements": "x"}}, "a variant's name is of a-z"),
        ({"standard": {"requirements": "x"}}, "no target's"),
        ({"tiny": "x"}, "is a table"),
        ({"tiny": {"requirements": "missing.txt"}}, "names missing.txt"),
        ({"tiny": {"requirements": "bare.txt"}}, "bare.txt: requirement six==1.17.0 has no hash"),
    ],
)
def test_an_ill_formed_variant_is_refused_with_its_reason(plain: Path, table: dict[str, Any], said: str) -> None:
    (plain / "bare.txt").write_text("six==1.17.0\n")
    whole = {"name": "x", "source": ["hello"], "requirements": "requirements.txt", "command": ["x"], "variants": table}
    with pytest.raises(PipelineError, match=said):
        config.parse(whole, plain, "pyproject.toml")


def test_requirements_keep_their_lines_and_an_address_is_none() -> None:
    text = (
        "# made by\nTorch_Vision==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n    # via\nb==2 --hash=sha256:c\n"
    )
    found = variants.requirements(text, "x.txt")
    assert dict(found) == {
        "torch-vision": "Torch_Vision==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n",
        "b": "b==2 --hash=sha256:c\n",
    }
    with pytest.raises(PipelineError, match=r"x\.txt: './wheel\.whl' is no requirement"):
        variants.requirements("./wheel.whl\n", "x.txt")


def test_every_layer_gets_the_options_of_its_file() -> None:
    found = variants.requirements("--no-binary x\na==1\nb==2\n", "x.txt")
    assert dict(variants.layers(variants.added({}, found, "x.txt"), ["b"])) == {
        "b": "--no-binary x\nb==2\n",
        variants.OTHERS: "--no-binary x\na==1\n",
    }
