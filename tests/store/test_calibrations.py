import pytest

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import BaseRecord, Store, adopt_base, publish_base, publish_calibrations, read_calibrations, sha256
from ds2ray.store.layout import base_uri, calibrations_uri

BASE = "0123456789abcdef"
GREEDY = {"slope": 1.5, "intercept": -0.25}


def test_maps_come_back_and_those_of_other_decoders_stay(place: Store) -> None:
    assert read_calibrations(place, BASE) == {}
    publish_calibrations(place, BASE, {"greedy": {"slope": 1.0, "intercept": 0.0}, "beam": GREEDY})
    publish_calibrations(place, BASE, {"greedy": GREEDY})
    assert read_calibrations(place, BASE) == {"greedy": GREEDY, "beam": GREEDY}


def test_a_base_elsewhere_has_its_own(tmp_path: object) -> None:
    store, elsewhere = Store(f"{tmp_path}/store"), f"{tmp_path}/elsewhere"
    publish_calibrations(store, BASE, {"greedy": GREEDY}, elsewhere)
    assert read_calibrations(store, BASE, elsewhere) == {"greedy": GREEDY}
    assert read_calibrations(store, BASE) == {}


def test_a_base_that_is_adopted_brings_its_calibration(tmp_path: object) -> None:
    there, here = Store(f"{tmp_path}/there"), Store(f"{tmp_path}/here")
    record = BaseRecord(
        base_id=BASE,
        fingerprint=BASE * 4,
        sha256=sha256(b"weights"),
        size_bytes=7,
        model={},
        audio={},
        vocabulary={},
        run_id="",
        metrics={},
    )
    publish_base(there, b"weights", record)
    publish_calibrations(there, BASE, {"greedy": GREEDY})
    adopt_base(here, base_uri(there, BASE))
    assert read_calibrations(here, BASE) == {"greedy": GREEDY}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"base_id": BASE}, "fields are missing: decoders"),
        ({"base_id": "f" * 16, "decoders": {}}, "base_id 'ffffffffffffffff', not '0123456789abcdef'"),
        ({"base_id": BASE, "decoders": [1]}, r"impossible values: decoders=\[1\]"),
        *(
            ({"base_id": BASE, "decoders": {"greedy": numbers}}, "decoder 'greedy' needs a slope of at least 0")
            for numbers in (
                None,
                {"slope": 1.0},
                {"slope": -1.0, "intercept": 0.0},
                {"slope": "1", "intercept": 0.0},
                {"slope": True, "intercept": 0.0},
                {"slope": 1.0, "intercept": float("nan")},
            )
        ),
    ],
)
def test_a_damaged_record_is_told_and_can_be_made_anew(tmp_path: object, document: object, told: str) -> None:
    store = Store(str(tmp_path))
    store.write_json(calibrations_uri(base_uri(store, BASE)), document)
    with pytest.raises(ArtifactCorruptError, match=told):
        read_calibrations(store, BASE)
    publish_calibrations(store, BASE, {"greedy": GREEDY})
    assert read_calibrations(store, BASE) == {"greedy": GREEDY}
