"""The presets: conf/ of a checkout, which a wheel holds as ds2ray/conf/."""

from pathlib import Path

from omegaconf import OmegaConf

_PACKAGE = Path(__file__).resolve().parents[1]
CONF_DIR = next(folder for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if folder.is_dir())


def groups(job_name: str) -> dict[str, dict[str, str]]:
    """Group → preset → the first comment of the preset's file, for the groups that the job's root in conf/ names."""
    defaults = OmegaConf.load(CONF_DIR / f"{job_name}.yaml").defaults
    names = [str(group) for entry in defaults if OmegaConf.is_dict(entry) for group in entry]
    # an optional entry follows the choice of a group and is none itself
    files = {name: sorted((CONF_DIR / name).glob("*.yaml")) for name in names if " " not in name}
    return {name: {path.stem: _first_comment(path) for path in paths} for name, paths in files.items()}


def _first_comment(path: Path) -> str:
    comments = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next(comment for comment in comments if not comment.startswith("@"))
