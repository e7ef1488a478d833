"""A tiny workspace with prepared collections, for tests of training and what follows it."""

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from pipeline.files import sha256_bytes, write_json
from pipeline.params import Params, load_params, merge, parse, read_tree
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[2]


def smoke_params(**overlays: object) -> Params:
    tree = merge(read_tree(ROOT / "params.yaml"), read_tree(ROOT / "presets" / "smoke.yaml"))
    return parse(merge(tree, overlays))


def tiny_workspace(root: Path, method: str = "cut", **overlays: object) -> Workspace:
    """Write parameters, one recipe `dots` and its prepared collections; return the workspace."""
    (root / "pipeline").symlink_to(ROOT / "pipeline")
    (root / "dvc.yaml").write_text("stages: {}\n")
    workspace = Workspace(root)
    plain = json.loads(json.dumps(smoke_params(**overlays).tree()))  # YAML has no tuples
    workspace.params_file.write_text(yaml.safe_dump(plain))
    recipe = {"method": method, "style": "dots", "warm_start": "none", "overrides": {}}
    workspace.recipes_file.write_text(yaml.safe_dump({"styles": ["dots"], "recipes": {"dots": recipe}}))
    params = load_params(workspace.params_file)
    prepare_by_hand(workspace.prepared("photos"), "photos", params, seed=1)
    prepare_by_hand(workspace.prepared("dots"), "paintings", params, seed=2)
    return workspace


def prepare_by_hand(folder: Path, kind: str, params: Params, seed: int, train: int = 6, test: int = 4) -> None:
    """Write what the prepare stage would, from noise of a tint of its own."""
    rng = np.random.default_rng(seed)
    tint = rng.uniform(0.3, 1, 3)
    settings = params.prepare
    parts: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    shapes = {
        "train": (settings.crops_per_image * settings.crop, settings.crop),
        "test": (settings.view, settings.view),
    }
    for part, count in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            name = sha256_bytes(f"{kind}{part}{i}{seed}".encode())
            height, width = shapes[part]
            coarse = rng.uniform(0, 1, (height // 8, width // 8, 3)) * tint
            picture = Image.fromarray((coarse * 255).astype(np.uint8)).resize((width, height))
            picture.save(folder / part / f"{name}.png")
            entry: dict[str, object] = {"image": name, "file": f"{part}/{name}.png"}
            parts[part].append(entry | ({"weight": 1.0} if part == "train" else {}))
    index = {
        "format": 1,
        "kind": kind,
        "crop": settings.crop,
        "crops_per_image": settings.crops_per_image,
        "view": settings.view,
        **{part: sorted(entries, key=lambda e: str(e["image"])) for part, entries in parts.items()},
    }
    write_json(folder / "index.json", index)

