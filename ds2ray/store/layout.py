"""The layout of a store: every path below its root, each spelt once.

<root>/bases/<base id>/model.safetensors, base.json        base.json last, then bases/current.json
<root>/bases/<base id>/calibration.json                    how sure its words are, by decoder
<root>/bases/<base id>/canary.json                         what the users gained who tried it before the others
<root>/bases/<base id>/lm/<version>.arpa.gz, lm.json       its language model, lm.json last
<root>/users/<user key>/<version>.safetensors              immutable, named by its content
<root>/users/<user key>/current.json                       the pointer, last
<root>/users/<user key>/withdrawn.json                     the last pointer of a user who went back to the base
<root>/users/<user key>/words-<version>.json, words.json   the user's own words, words.json last
<root>/runs/<run id>/plan.parquet, summary.json            and outcomes/<part>.parquet, attempts/<cohort>.json
<root>/runs/<run id>/report.html, log.txt                  the same for people, and what the run has printed
<root>/index/last_run.json                                 the run that came to its end last
<root>/sweeps/<sweep id>/trials/<trial id>.json            a record of every trial; table.csv, table.md, pareto.svg,
                                                           pareto.png, best.yaml, and summary.json last
<root>/index/users.parquet, words.parquet, lease.json      and pending/<run id>.json while a run goes on
<root>/index/erased.parquet                                tombstones of erased users, without their ids
<root>/index/rollback.parquet                              what a rollback moves, while it is at work
<root>/index/late/<user key>.json                          users whose pointer a run wrote that had lost its lease
<root>/aside/<path>.<random>                               what was damaged, where it lay, so that it stops no run
<root>/index/salt.json                                     by which a store with salted user keys knows its salt
"""

from ds2ray import storage
from ds2ray.store.store import Store

_BASE_RECORD = "base.json"
OWN_WORDS_PREFIX = "words-"
"""How the names of files with users' own words begin."""


def bases_uri(store: Store) -> str:
    return storage.join(store.root_uri, "bases")


def base_uri(store: Store, base_id: str) -> str:
    return storage.join(bases_uri(store), base_id)


def newest_base_uri(store: Store) -> str:
    return storage.join(bases_uri(store), "current.json")


def base_record_uri(folder_uri: str) -> str:
    """The record in a base's folder."""
    return storage.join(folder_uri, _BASE_RECORD)


def base_weights_uri(folder_uri: str) -> str:
    """The weights in a base's folder."""
    return storage.join(folder_uri, "model.safetensors")


def calibrations_uri(folder_uri: str) -> str:
    """The record of the calibrations of a base, in its folder."""
    return storage.join(folder_uri, "calibration.json")


def canary_uri(folder_uri: str) -> str:
    """The record of the canary of a base, in its folder."""
    return storage.join(folder_uri, "canary.json")


def language_model_record_uri(folder_uri: str) -> str:
    """The record of the language model in a base's folder."""
    return storage.join(folder_uri, "lm", "lm.json")


def language_model_uri(folder_uri: str, version: str) -> str:
    """A version of the language model in a base's folder."""
    return storage.join(folder_uri, "lm", f"{version}.arpa.gz")


def base_id_of(uri: str) -> str:
    """The id of the base whose record lies at `uri`; empty where the object is no record of a base."""
    folder, _, name = uri.rpartition("/")
    return folder.rpartition("/")[2] if name == _BASE_RECORD else ""


def users_uri(store: Store) -> str:
    """The folder of all users."""
    return storage.join(store.root_uri, "users")


def user_uri(store: Store, user_key: str) -> str:
    return storage.join(users_uri(store), user_key)


def pointer_uri(store: Store, user_key: str) -> str:
    return storage.join(user_uri(store, user_key), "current.json")


def withdrawn_uri(store: Store, user_key: str) -> str:
    return storage.join(user_uri(store, user_key), "withdrawn.json")


def adapter_weights_uri(store: Store, user_key: str, version: str) -> str:
    return storage.join(user_uri(store, user_key), f"{version}.safetensors")


def own_words_record_uri(store: Store, user_key: str) -> str:
    return storage.join(user_uri(store, user_key), "words.json")


def own_words_uri(store: Store, user_key: str, version: str) -> str:
    return storage.join(user_uri(store, user_key), f"{OWN_WORDS_PREFIX}{version}.json")


def runs_uri(store: Store) -> str:
    """The folder of all runs."""
    return storage.join(store.root_uri, "runs")


def run_uri(store: Store, run_id: str) -> str:
    """The folder of a run."""
    return storage.join(runs_uri(store), run_id)


def plan_uri(store: Store, run_id: str) -> str:
    return storage.join(run_uri(store, run_id), "plan.parquet")


def summary_uri(store: Store, run_id: str) -> str:
    return storage.join(run_uri(store, run_id), "summary.json")


def report_uri(store: Store, run_id: str) -> str:
    """The page of a run."""
    return storage.join(run_uri(store, run_id), "report.html")


def log_uri(store: Store, run_id: str) -> str:
    """What a run has printed."""
    return storage.join(run_uri(store, run_id), "log.txt")


def outcomes_uri(store: Store, run_id: str) -> str:
    """The folder of the parts of a run's outcomes."""
    return storage.join(run_uri(store, run_id), "outcomes")


def outcomes_part_uri(store: Store, run_id: str, part_name: str) -> str:
    return storage.join(outcomes_uri(store, run_id), f"{part_name}.parquet")


def attempt_uri(store: Store, run_id: str, cohort: int) -> str:
    return storage.join(run_uri(store, run_id), "attempts", f"{cohort:06d}.json")


def sweep_uri(store: Store, sweep_id: str) -> str:
    """The folder of a sweep."""
    return storage.join(store.root_uri, "sweeps", sweep_id)


def sweep_trial_uri(store: Store, sweep_id: str, trial_id: str) -> str:
    """The record of a trial of a sweep."""
    return storage.join(sweep_uri(store, sweep_id), "trials", f"{trial_id}.json")


def index_folder_uri(store: Store) -> str:
    """The folder of the tables and records of the whole store."""
    return storage.join(store.root_uri, "index")


def last_run_uri(store: Store) -> str:
    """The record that names the last run that came to its end."""
    return storage.join(index_folder_uri(store), "last_run.json")


def index_uri(store: Store) -> str:
    return storage.join(index_folder_uri(store), "users.parquet")


def tombstones_uri(store: Store) -> str:
    return storage.join(index_folder_uri(store), "erased.parquet")


def rollback_uri(store: Store) -> str:
    """The table of what a rollback moves, while it is at work."""
    return storage.join(index_folder_uri(store), "rollback.parquet")


def words_index_uri(store: Store) -> str:
    return storage.join(store.root_uri, "index", "words.parquet")


def salt_uri(store: Store) -> str:
    return storage.join(store.root_uri, "index", "salt.json")


def lease_uri(store: Store) -> str:
    return storage.join(store.root_uri, "index", "lease.json")


def run_marks_uri(store: Store) -> str:
    """The folder of the marks of runs that have begun and not come to their end."""
    return storage.join(store.root_uri, "index", "pending")


def run_mark_uri(store: Store, run_id: str) -> str:
    return storage.join(run_marks_uri(store), f"{run_id}.json")


def late_marks_uri(store: Store) -> str:
    """The folder of the marks of users whose pointer or words were written by a run that had lost its lease."""
    return storage.join(store.root_uri, "index", "late")


def late_mark_uri(store: Store, user_key: str) -> str:
    return storage.join(late_marks_uri(store), f"{user_key}.json")


def aside_folder_uri(store: Store) -> str:
    """The folder of what was damaged and is out of the way."""
    return storage.join(store.root_uri, "aside")


def aside_uri(store: Store, uri: str, token: str) -> str:
    """Where an object of the store goes that is damaged.

    Args:
        token: random, as there may be several of one name.
    """
    return storage.join(aside_folder_uri(store), f"{uri.removeprefix(store.root_uri).lstrip('/')}.{token}")
