"""Fleets of users with toy speech: a base that hears nothing yet, so that every adapter passes the gate, and users."""

from collections.abc import Mapping
from pathlib import Path

import torch
from fleet_runs import RandomBase, write_users
from toy_speech import AUDIO, MODEL, VOCABULARY, make_utterances

from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base


def silent_base(root_uri: str) -> RandomBase:
    """A base with random weights that decodes every utterance to nothing, published in a store."""
    torch.manual_seed(0)
    model = DeepSpeech2.from_config(MODEL, AUDIO.num_mels, len(VOCABULARY)).eval()
    with torch.no_grad():
        model.output.bias[0] += 4  # the blank
    base = RandomBase(root_uri, Base.of(model, MODEL, AUDIO, VOCABULARY))
    base.publish(root_uri)
    return base


def make_users(folder: Path, num_utterances: Mapping[str, int]) -> str:
    """Write a manifest of users with so many utterances each; returns its URI."""
    users = {}
    for number, (user, count) in enumerate(num_utterances.items()):
        (folder / user).mkdir(parents=True)
        users[user] = make_utterances(folder / user, count, seed=number)
    return write_users(str(folder / "users.csv"), users)
