"""Speech without transcripts: adapters learn from the passages in which each word is sure, and are not judged by it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from toy_cohorts import ADAPT, ADAPTER, Fleet, adapted, state_of, toy_users

from ds2ray.config import AdaptConfig, TextConfig
from ds2ray.decoding.decoder import Decoded
from ds2ray.decoding.greedy import Greedy
from ds2ray.model.weights import Base, to_bytes
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.cohort import CohortResult
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.listening import UNSURE, Listener, passages_of, with_heard
from ds2ray.training.adapters.speech import TOO_MUCH, UserSpeech, encode_users

VOCABULARY = Vocabulary.from_transcripts(["abcd "], TextConfig())
SURE, UNSURE_SCORE = -0.01, -3.0
BY_SCORE = Listener(Greedy(), lambda score: 0.95 if score > -1 else 0.4, 0.9)
EVERYTHING = Listener(Greedy(), lambda score: 0.5, 0.5)


def decoded(text: str, sure: Mapping[str, bool]) -> Decoded:
    """A row of these tokens, each in two frames after one of silence; a word is sure or not."""
    tokens = VOCABULARY.encode_known(text)
    first = [3 * place + 1 for place in range(len(tokens))]
    scores = [SURE if sure[word] else UNSURE_SCORE for word in text.split(" ") for _ in f"{word} "][: len(tokens)]
    return Decoded(tokens, first, [frame + 1 for frame in first], -0.1, scores)


def said(row: Decoded, num_frames: int, listener: Listener = BY_SCORE) -> list[tuple[str, int, int, float]]:
    found = passages_of(row, num_frames, VOCABULARY, listener)
    return [(VOCABULARY.decode(list(one.tokens)), one.start, one.end, one.confidence) for one in found]


class TestPassages:
    def test_a_row_of_sure_words_is_one_with_all_its_frames(self) -> None:
        assert said(decoded("ab cd", {"ab": True, "cd": True}), 20) == [("ab cd", 0, 20, 0.95)]
        assert said(decoded("ab", {"ab": True}), 9) == [("ab", 0, 9, 0.95)]

    def test_an_unsure_word_divides_a_row_half_way_to_its_neighbours(self) -> None:
        row = decoded("a b cc d a", {"a": True, "b": True, "cc": False, "d": True})
        # b ends with frame 8, cc stands in frames 13 to 17, d begins with frame 22
        assert said(row, 40) == [("a b", 0, (9 + 13) // 2, 0.95), ("d a", (18 + 22) // 2, 40, 0.95)]

    def test_a_word_alone_is_none(self) -> None:
        assert said(decoded("a bb a", {"a": True, "bb": False}), 30) == []

    def test_nothing_is_sure_where_a_decoder_tells_no_scores_or_heard_nothing(self) -> None:
        assert said(replace(decoded("a b", {"a": True, "b": True}), token_scores=[]), 20) == []
        assert said(Decoded([], [], [], 0.0), 20) == []


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return toy_users(tmp_path_factory.mktemp("users"))


def without_transcripts(users: Fleet, first: int = 7) -> Fleet:
    """The users, whose utterances from there on have none."""
    return {user: [*own[:first], *(replace(one, transcript=" ") for one in own[first:])] for user, own in users.items()}


def listened(base: Base, utterances: list[Utterance], listener: Listener = EVERYTHING) -> UserSpeech:
    (speech,) = encode_users(Encoder(base, 0), {"ann": utterances}, ADAPT)
    return with_heard(speech, listener, base, None, 0, torch.device("cpu"))


def test_what_is_heard_is_trained_on_and_never_held_out(base: Base, users: Fleet) -> None:
    speech = listened(base, without_transcripts(users)["ann"])
    (part,) = speech.parts
    assert len(speech.transcripts) == 7
    assert 0 < speech.num_heard <= len(part.heard) == len(speech.weights)
    assert set(part.heard).isdisjoint({*part.train, *part.held_out, *part.further})
    assert list(part.heard) == list(range(len(speech.frames) - len(part.heard), len(speech.frames)))
    assert set(speech.weights.values()) == {0.5}
    assert speech.untranscribed == []


def test_a_whole_utterance_of_sure_words_is_learned_as_it_is_recognised(base: Base, users: Fleet) -> None:
    (untranscribed,) = without_transcripts({"ann": users["ann"][:8]}).values()
    speech = listened(base, untranscribed)
    (row,) = speech.parts[0].heard
    whole = encode_users(Encoder(base, 0), {"ann": users["ann"][:8]}, ADAPT)[0].frames[7]
    torch.testing.assert_close(speech.frames[row], whole, atol=1e-5, rtol=1e-4)
    lengths = torch.tensor([len(whole)])
    with torch.no_grad():
        (heard,) = Greedy().decode(base.model.eval().head(whole[None], lengths, 0), lengths)
    assert speech.tokens[row].tolist() == heard.token_ids


def test_what_is_unsure_is_counted_and_trains_nothing(base: Base, users: Fleet) -> None:
    nothing = Listener(Greedy(), lambda score: 0.1, 0.5)
    speech = listened(base, without_transcripts(users)["ann"], nothing)
    assert (speech.num_heard, list(speech.parts[0].heard), speech.dropped) == (0, [], {UNSURE: 3})
    few = {"ann": users["ann"][:7]}
    silent = adapted(base, few)["ann"]
    plain = adapted(base, without(users), listener=nothing)["ann"]
    for name, tensor in state_of(silent).items():  # encoded in batches of another shape
        torch.testing.assert_close(state_of(plain)[name], tensor, atol=1e-4, rtol=1e-3)
    assert (plain.utterances_used, plain.num_heard, plain.dropped) == (7, 0, {UNSURE: 3})


def without(users: Fleet) -> Fleet:
    return {"ann": without_transcripts(users)["ann"]}


def test_the_adapter_that_a_user_has_listens(base: Base, users: Fleet) -> None:
    opened: list[str] = []
    own = adapted(base, {"ann": users["ann"]})["ann"]

    def current(user_key: str) -> CurrentAdapter | None:
        opened.append(user_key)
        base.model.add_adapter(ADAPTER)
        adapter = base.model.adapter
        assert adapter is not None
        base.model.adapter = None
        adapter.load_state_dict(state_of(own))
        return CurrentAdapter(adapter, 1.0, "", None)

    def heard(listener: Listener, **more: object) -> CohortResult:
        return adapted(base, without(users), listener=listener, **more)["ann"]

    by_base, by_own = heard(EVERYTHING), heard(EVERYTHING, open_current=current)
    assert opened
    assert to_bytes(state_of(by_base)) != to_bytes(state_of(by_own))


def test_corrected_transcripts_count_more(base: Base, users: Fleet) -> None:
    given = without_transcripts(users)["ann"]
    given[2] = replace(given[2], corrected=True)
    speech = listened(base, given)
    assert {row: weight for row, weight in speech.weights.items() if row < 7} == {2: ADAPT.corrected_weight}
    assert len(speech.weights) == 1 + len(speech.parts[0].heard)
    corrected, plain = (adapted(base, {"ann": own})["ann"] for own in (given[:7], users["ann"][:7]))
    (part,) = speech.parts
    is_trained_on = 2 in part.train
    assert (to_bytes(state_of(corrected)) != to_bytes(state_of(plain))) == is_trained_on


def test_with_what_was_heard_an_adapter_has_the_same_bytes_in_any_company(base: Base, users: Fleet) -> None:
    fleet = without_transcripts(users)
    fleet["bob"] = users["bob"]  # all of whose speech has transcripts
    adapt = replace(ADAPT, batch_size=2)
    together = adapted(base, fleet, adapt=adapt, listener=EVERYTHING)
    for name in fleet:
        alone = adapted(base, {name: fleet[name]}, adapt=adapt, listener=EVERYTHING)[name]
        assert to_bytes(state_of(alone)) == to_bytes(state_of(together[name]))
    assert [together[name].num_heard > 0 for name in users] == [True, False, True]


def test_who_has_too_few_transcripts_is_not_judged_by_what_is_heard(base: Base, users: Fleet) -> None:
    (result,) = adapted(base, {"ann": without_transcripts(users, 2)["ann"]}, listener=EVERYTHING).values()
    assert (result.fit, result.failed) == (None, False)
    assert result.reason == f"2 usable utterances with transcripts, at least {ADAPT.min_utterances} are needed"


def test_more_than_there_are_steps_for_is_left_out_by_a_draw_and_counted(base: Base, users: Fleet) -> None:
    adapt = AdaptConfig(num_epochs=1, unlabelled_share=0.25)
    given = without_transcripts({"bob": users["bob"]}, 6)["bob"]
    (speech,) = encode_users(Encoder(base, 0), {"bob": given}, adapt)
    assert len(speech.untranscribed) == 2  # a third of six
    assert speech.dropped == {TOO_MUCH: len(given) - 8}
    (again,) = encode_users(Encoder(base, 0), {"bob": [*given[:6], *reversed(given[6:])]}, adapt)
    lengths = [sorted(map(len, one.untranscribed)) for one in (speech, again)]
    assert lengths[0] == lengths[1]
