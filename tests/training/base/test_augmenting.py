"""Batches of training: utterances that run together, rows in which nobody speaks, and what they count."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import NO_AUGMENT, assert_equal_weights, make_task, stop_after, train
from toy_speech import AUDIO, MODEL, SAMPLE_RATE_HZ, VOCABULARY, make_utterances

from ds2ray.batching.batches import Batch, SpeechDataset, collate
from ds2ray.config import AugmentConfig, TrainConfig
from ds2ray.errors import InterruptedRunError
from ds2ray.model.building import build_model
from ds2ray.training.base.augmenting import LONGEST_JOINED_S, LONGEST_PAUSE_S, Augmenting, Rows
from ds2ray.training.base.learner import Learner
from ds2ray.training.optim import ctc_losses

SPACE = VOCABULARY.tokens.index(" ")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SpeechDataset:
    spoken = make_utterances(tmp_path_factory.mktemp("speech"), 9)
    return SpeechDataset([replace(u, user_id="ab"[line % 2]) for line, u in enumerate(spoken)], VOCABULARY, AUDIO)


def batch_of(dataset: SpeechDataset, count: int = 9) -> Batch:
    return collate([dataset[index] for index in range(count)])


def rows_of(batch: Batch, seed: int = 0, silence: float = 0.0, space: int = SPACE, **changes: Any) -> Rows:
    torch.manual_seed(seed)
    return Augmenting(replace(NO_AUGMENT, **changes), SAMPLE_RATE_HZ, silence, space)(batch)


def texts(rows: Rows) -> list[str]:
    return [
        VOCABULARY.decode(tokens[:count].tolist()) for tokens, count in zip(rows.tokens, rows.num_tokens, strict=True)
    ]


def test_a_batch_stays_as_it_is_without_changes(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset)
    rows = rows_of(batch)
    assert torch.equal(rows.waveforms, batch.waveforms)
    assert torch.equal(rows.tokens, batch.tokens)
    assert rows.utterances.tolist() == [1.0] * 9


@pytest.mark.parametrize("seed", range(6))
def test_joined_utterances_are_each_there_once_with_their_words_in_order(dataset: SpeechDataset, seed: int) -> None:
    batch = batch_of(dataset)
    rows = rows_of(batch, seed, join_share=1.0)
    said = dict(zip(batch.transcripts, range(9), strict=True))
    assert len(said) == 9
    assert int(rows.utterances.sum()) == 9
    for row, text in enumerate(texts(rows)):
        sound = rows.waveforms[row]
        assert sound[int(rows.num_samples[row]) :].abs().sum() == 0
        place, left = 0, text
        for _ in range(int(rows.utterances[row])):
            # the only utterance whose words come next and whose sound lies there
            first = next(t for t in said if left == t or left.startswith(f"{t} "))
            left = left.removeprefix(first).removeprefix(" ")
            source = said.pop(first)
            wave = batch.waveforms[source, : int(batch.num_samples[source])]
            start = place + int((sound[place:] != 0).nonzero()[0]) - int((wave != 0).nonzero()[0])
            assert start - place <= LONGEST_PAUSE_S * SAMPLE_RATE_HZ
            assert torch.equal(sound[start : start + len(wave)], wave)
            place = start + len(wave)
        assert left == ""
    assert said == {}


def test_about_half_of_joined_utterances_have_no_pause_between_them(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset, 8)
    loud = replace(batch, waveforms=(torch.arange(batch.waveforms.shape[1]) < batch.num_samples[:, None]).float())
    pauses = []
    for seed in range(30):
        rows = rows_of(loud, seed, join_share=1.0)
        for sound, length in zip(rows.waveforms, rows.num_samples.tolist(), strict=True):
            silent = torch.cat([torch.ones(1), sound[:length], torch.ones(1)]) == 0
            edges = silent.int().diff().nonzero()[:, 0]
            pauses += (edges[1::2] - edges[::2]).tolist()
    num_seams = sum(8 - len(rows_of(loud, seed, join_share=1.0).waveforms) for seed in range(30))
    assert 0.35 < len(pauses) / num_seams < 0.65
    assert max(pauses) <= LONGEST_PAUSE_S * SAMPLE_RATE_HZ


def test_utterances_of_one_speaker_run_together(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset, 8)  # four of each of two speakers
    assert sorted(batch.user_ids) == [*"aaaa", *"bbbb"]
    voices = torch.tensor([ord(user) for user in batch.user_ids])[:, None] * (batch.waveforms != 0)
    sizes = set()
    for seed in range(8):
        rows = rows_of(replace(batch, waveforms=voices.float()), seed, join_share=1.0)
        sizes.add(int(rows.utterances[0]))
        if rows.utterances[0] != 3:  # which does not divide four
            assert [len(set(row[row != 0].tolist())) for row in rows.waveforms] == [1] * len(rows.waveforms)
    assert sizes == {2, 3, 4}


def test_without_a_space_in_the_vocabulary_tokens_follow_each_other(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset)
    rows = rows_of(batch, 1, space=0, join_share=1.0)
    assert int(rows.num_tokens.sum()) == int(batch.num_tokens.sum())


def test_what_would_be_too_long_is_not_joined(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset, 2)
    size = round(LONGEST_JOINED_S * SAMPLE_RATE_HZ * 0.6)
    long = replace(batch, waveforms=torch.zeros(2, size), num_samples=torch.tensor([size] * 2))
    assert rows_of(long, join_share=1.0).utterances.tolist() == [1.0, 1.0]


def test_rows_in_which_nobody_speaks_come_on_top_and_have_no_tokens(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset)
    rows = rows_of(batch, silence=1.0)
    assert len(rows.waveforms) == 18
    assert torch.equal(rows.waveforms[:9], batch.waveforms)
    assert rows.num_tokens[9:].tolist() == rows.utterances[9:].tolist() == [0] * 9
    for sound, length in zip(rows.waveforms[9:], rows.num_samples[9:].tolist(), strict=True):
        assert 0 < length <= batch.waveforms.shape[1]
        assert sound[length:].abs().sum() == 0
    shares = [len(rows_of(batch, seed, silence=0.2).waveforms) - 9 for seed in range(60)]
    assert 0.12 < sum(shares) / (60 * 9) < 0.28


def test_the_loss_of_a_row_without_tokens_is_that_of_blanks() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 7, 4).log_softmax(2)
    lengths = torch.tensor([7, 5])
    losses = ctc_losses(log_probs, lengths, torch.tensor([[2, 3], [0, 0]]), torch.tensor([2, 0]))
    torch.testing.assert_close(losses[1], -log_probs[1, :5, 0].mean())


def learner_of(silence: float, **changes: Any) -> Learner:
    torch.manual_seed(0)
    model = build_model(MODEL, AUDIO, len(VOCABULARY)).train()
    config = TrainConfig(augment=replace(NO_AUGMENT, **changes))
    return Learner(model, config, torch.device("cpu"), silence, SPACE)


def test_silence_is_learned_and_not_counted_in_the_loss(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset)

    def after_a_step(silence: float) -> tuple[float, torch.Tensor]:
        learner = learner_of(silence)
        learner.model.eval()  # statistics and dropout would tell the two apart as well
        torch.manual_seed(1)
        loss = float(learner.accumulate(batch, 9))
        return loss, torch.cat([p.grad.flatten() for p in learner.model.parameters() if p.grad is not None])

    without, gradient = after_a_step(0.0)
    with_silence, other = after_a_step(1.0)
    assert with_silence == pytest.approx(without, rel=1e-4)
    assert (other - gradient).abs().max() > 1e-4


@pytest.mark.parametrize("changes", [{"join_share": 1.0}, {"pad_share": 1.0, "telephone_share": 1.0}])
def test_changed_batches_count_their_utterances(dataset: SpeechDataset, changes: dict[str, float]) -> None:
    learner = learner_of(0.0, **changes)
    for _ in range(3):
        loss = learner.accumulate(batch_of(dataset), 9)
        assert learner.update(0.01)
    assert 0 < float(loss) / 9 < 50


def test_a_run_that_was_stopped_draws_the_same_changes_as_one_that_was_not(tmp_path: Path) -> None:
    def task(name: str) -> Any:
        (tmp_path / name).mkdir()
        made = make_task(tmp_path / name, num_train=12, num_epochs=2, augment=AugmentConfig(join_share=0.5))
        return replace(made, silence_rows=0.3)

    whole, _ = train(task("whole"))
    stopping: Callable[[], bool] = stop_after(2)
    with pytest.raises(InterruptedRunError):
        train(task("stopped"), stopped=stopping)
    again = replace(_same_task(tmp_path / "stopped"), silence_rows=0.3)
    resumed, _ = train(again)
    assert_equal_weights(resumed, whole)


def _same_task(folder: Path) -> Any:
    return make_task(folder, num_train=12, num_epochs=2, augment=AugmentConfig(join_share=0.5))
