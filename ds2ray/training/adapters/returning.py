"""Returning users, whose training goes on from the adapter that they have."""

from dataclasses import replace

from ds2ray.config import AdaptConfig, adapter_to_plain
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.judging.split import CROSS_VALIDATED, split_rule
from ds2ray.training.adapters.speech import UserSpeech


def goes_on(current: CurrentAdapter, fresh: Adapter, speech: UserSpeech, adapt: AdaptConfig) -> bool:
    """Whether training goes on from the adapter that the user has, see `adapt.warm_start`.

    Not where it may have learned from what is held out now, nor where speech has gone or been exchanged: what an
    adapter has learned from that must be forgotten.
    """
    rule, now = split_rule(len(speech.transcripts), adapt), len(speech.transcripts)
    return (
        adapt.warm_start
        and not adapt.force
        and rule != CROSS_VALIDATED
        and current.split == rule
        and current.num_utterances is not None
        and current.num_utterances < now <= current.num_utterances * (1 + adapt.warm_growth)
        and adapter_to_plain(replace(current.adapter.config, dropout=fresh.config.dropout))
        == adapter_to_plain(fresh.config)
    )
