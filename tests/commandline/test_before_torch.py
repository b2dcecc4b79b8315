"""Wrong settings and paths are told before torch and Ray are imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest
from fleet_runs import ROOT, RandomBase

from ds2ray.demo.corpus import DemoCorpus

BASE_ID = "0123456789abcdef"
NO_PLACE = "adapter.after_layer=9 is not possible: the base has 1 recurrent layers; use 0 to 1, or -1 for the last"
ADAPTER = ("train=adapter_train", "train.manifest={train}", "train.base_model_path={folder}/none.pt")


@pytest.mark.process
@pytest.mark.parametrize(
    ("job_name", "argv", "expected"),
    [
        ("train", ["train.manifest={folder}/none.csv"], "{folder}/none.csv: "),
        ("train", ["train.transcripts_path={folder}/none.txt"], "{folder}/none.txt: there is no such file"),
        ("train", ["train.manifest={train}", "train.valid_manifest={folder}/none.csv"], "{folder}/none.csv: "),
        ("train", ["train.manifest={train}", "train.vocab_path={folder}/none.csv"], "{folder}/none.csv: "),
        ("train", ["train.manifest={train}", "train.pretrained_model_path={folder}/none.pt"], "{folder}/none.pt: no"),
        ("train", ["train.manifest={train}", "train.augment.noise_dir={folder}"], "train.augment.noise_dir="),
        ("train", ["train.manifest={train}", "train.adapter_name=ann"], "train.adapter_name='ann' needs"),
        ("train", [*ADAPTER, "train.adapter_name=ann"], "{folder}/none.pt: no such file; train a base"),
        ("train", ["train.manifest={train}", "train.transcripts_path={folder}/none.txt"], "train.manifest and train."),
        ("adapt_users", ["{folder}/none.csv"], "{folder}/none.csv: "),
        ("adapt_users", ["{users}", "base={folder}/none.pt"], "{folder}/none.pt: no such file; train a base"),
        ("adapt_users", ["{folder}/none.csv", "base={model}"], "{folder}/none.csv: "),
        ("adapt_users", ["{users}", f"base={BASE_ID}"], f"no base '{BASE_ID}' in "),
        ("adapt_users", ["{users}", "adapter.after_layer=9"], NO_PLACE),
        ("sweep_adapters", [], "users is missing"),
        ("sweep_adapters", ["{folder}/none.csv"], "{folder}/none.csv: "),
        ("sweep_adapters", ["{users}", f"base={BASE_ID}"], f"no base '{BASE_ID}' in "),
        ("sweep_adapters", ["{users}", "base={folder}/none.pt"], "{folder}/none.pt: no such file; train a base"),
        ("sweep_adapters", ["{users}", "adapter.after_layer=9"], NO_PLACE),
        ("transcribe", ["{folder}/none.wav"], "{folder}/none.wav: there is no such file"),
        ("transcribe", ["manifest={folder}/none.csv"], "{folder}/none.csv: "),
        ("transcribe", ["{train}", "output=heard.txt"], "output='heard.txt': the name must end in"),
        ("transcribe", ["manifest={test}", "base={folder}/none.pt"], "{folder}/none.pt: no such file; train a base"),
        ("transcribe", ["manifest={test}", "batch_s=0"], "batch_s=0.0 is not possible"),
        ("evaluate", ["{test}", "by=[sauce]"], "by: {test} has no column sauce; it has "),
        ("transcribe", ["manifest={test}", "decode=lm"], "base {base_id} has no language model"),
        ("transcribe", ["manifest={test}", "decode=beam", "decode.lexicon={folder}/none.txt"], "decode.lexicon="),
        ("transcribe", ["manifest={test}", "output=heard.srt"], "output='heard.srt': a file of subtitles is for one"),
        ("transcribe", ["manifest={test}", "decode.n_best=3"], "decode.n_best=3 is not possible: greedy decoding"),
        ("calibrate", [], "manifest is missing"),
        ("calibrate", ["{folder}/none.csv"], "{folder}/none.csv: "),
        ("calibrate", ["{train}", "base={model}"], "base={model}: a calibration is published"),
        ("language_model", ["{folder}/none.txt"], "{folder}/none.txt: there is no such file"),
        ("export", ["{folder}/john.onnx"], "output='{folder}/john.onnx': give the name of the file that is written"),
        ("export", ["john.pt2", "base={folder}/none.pt"], "{folder}/none.pt: no such file; train a base"),
        ("transcribe", ["manifest={test}", "text.display=true", "text.language=xx"], "text.language='xx': num2words"),
        ("prepare", ["{folder}/none", "output={folder}/packed"], "{folder}/none: "),
        ("demo", ["adapter.after_layer=9"], NO_PLACE.replace("1 rec", "2 rec").replace("0 to 1", "0 to 2")),
        ("demo", ["num_user_sentences=0"], "num_user_sentences=0 is not possible"),
    ],
)
def test_told_before_torch_and_ray(
    job_name: str, argv: list[str], expected: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    names = {
        "folder": str(tmp_path),
        "base_id": random_base.base.base_id,
        "train": small_corpus.train_manifest,
        "test": small_corpus.test_manifest,
        "users": small_corpus.users_csv,
        "model": str(ROOT / "tests" / "fixtures" / "stored" / "model.pt"),
    }
    given = [argument.format(**names) for argument in argv]
    given += [f"storage.root={random_base.root}"] if job_name not in ("demo", "prepare") else []
    given += [f"output_dir={tmp_path}/demo"] if job_name == "demo" else []
    # -X importtime names every module that is imported
    command = [sys.executable, "-X", "importtime", str(ROOT / "jobs" / f"{job_name}.py"), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    loaded = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    (message, *more) = [line for line in lines if not line.startswith("import time:")]
    assert message.startswith(f"jobs/{job_name}.py: {expected.format(**names)}")
    assert more == []
    assert done.returncode == 2
    assert "hydra" in loaded
    assert loaded & {"torch", "ray", "matplotlib"} == set()
    assert list(tmp_path.iterdir()) == []
