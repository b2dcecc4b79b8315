"""A store with adapters of two users, and audio."""

import pytest
from fleet_runs import RandomBase, spoken
from recognising import publish_random_adapter

from ds2ray.demo.corpus import DemoCorpus


@pytest.fixture(scope="module")
def store(random_base: RandomBase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which two users have adapters, at different layers, and the others have none."""
    root = random_base.publish(str(tmp_path_factory.mktemp("store")))
    publish_random_adapter(root, random_base.base, "fiona")
    publish_random_adapter(root, random_base.base, "tony", after_layer=0)
    return root


@pytest.fixture(scope="module")
def audio(small_corpus: DemoCorpus) -> list[str]:
    return [str(utterance.audio) for utterance in spoken(small_corpus)["grace"]]
