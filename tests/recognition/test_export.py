"""One file with base and adapter hears what they hear, in any number of utterances of any lengths."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fleet_runs import RandomBase, run_job_here
from recognising import publish_random_adapter
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.model.adapters.rows import RowAdapter
from ds2ray.model.deepspeech2.layers import RNN_CLASSES
from ds2ray.model.deepspeech2.scanned import scanned
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.recognition.export import DESCRIPTION
from ds2ray.sound.audio import read_waveform
from ds2ray.store import Store
from ds2ray.tables.manifest import read_manifest

TOLERANCE = 1e-4  # of log-probabilities: sums in another order


@pytest.fixture(scope="module")
def root(random_base: RandomBase, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = random_base.publish(str(tmp_path_factory.mktemp("store")))
    publish_random_adapter(root, random_base.base, "fiona", after_layer=0)
    return root


def expected(root: str, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
    base = open_base(Store(root))
    found = open_adapter(Store(root), "fiona", base)
    assert found is not None
    rows = torch.arange(len(waveforms))
    with torch.no_grad():
        features, lengths = base.model.features(waveforms, num_samples)
        return base.model.forward_rows(features, lengths, [RowAdapter(found[1], found[0].adapter["after_layer"], rows)])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch.export.load, about its own buffers
def test_the_file_hears_what_base_and_adapter_hear(root: str, small_corpus: DemoCorpus, tmp_path: Path) -> None:
    file = tmp_path / "fiona.pt2"
    done = run_job_here("export", str(file), "user=fiona", f"storage.root={root}")
    assert (done.code, done.err) == (0, "")
    assert "with the adapter of user fiona to" in done.out
    extra = {DESCRIPTION: ""}
    program = torch.export.load(io.BytesIO(file.read_bytes()), extra_files=extra).module()
    base = open_base(Store(root))
    described = json.loads(extra[DESCRIPTION])
    assert (described["base_id"], described["user"]) == (base.base_id, "fiona")
    assert described["vocabulary"] == base.vocabulary.to_json()
    rate_hz = base.audio.sample_rate_hz
    speech = [
        torch.from_numpy(read_waveform(u.audio, rate_hz))
        for u in read_manifest(small_corpus.test_manifest).utterances[:4]
    ]
    for batch in (speech[:1], speech[:3], speech, [speech[3][: rate_hz // 10]]):
        waveforms, num_samples = pad_sequence(batch, batch_first=True), torch.tensor([len(row) for row in batch])
        log_probs, lengths = program(waveforms, num_samples)
        wanted, wanted_lengths = expected(root, waveforms, num_samples)
        assert lengths.tolist() == wanted_lengths.tolist()
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(log_probs[row, :length], wanted[row, :length], atol=TOLERANCE, rtol=0)


def test_a_user_without_an_adapter_is_told(root: str, tmp_path: Path) -> None:
    done = run_job_here("export", str(tmp_path / "nobody.pt2"), "user=nobody", f"storage.root={root}")
    assert done.code == 2
    assert "user nobody has no adapter; adapt the user, or leave user out" in done.err
    assert not (tmp_path / "nobody.pt2").exists()


@pytest.mark.parametrize("rnn", RNN_CLASSES.values())
def test_a_scan_is_the_recurrence(rnn: Callable[..., nn.RNNBase]) -> None:
    torch.manual_seed(0)
    recurrence, x = rnn(5, 4, batch_first=True), torch.randn(3, 7, 5)
    with torch.no_grad():
        torch.testing.assert_close(scanned(recurrence, x), recurrence(x)[0], atol=1e-6, rtol=0)
