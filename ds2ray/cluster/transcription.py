"""Recognition on Ray: a pool of actors, each with the base open, that take one part after another."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from ds2ray import display, storage
from ds2ray.cluster.gpus import cluster_gpus
from ds2ray.cluster.progress import our_error, told
from ds2ray.cluster.session import end_at_sigterm, room_for_trials
from ds2ray.config import TranscribeJob
from ds2ray.errors import ArtifactCorruptError, DeviceLostError, StorageError
from ds2ray.model.devices import assigned_device, is_device_lost
from ds2ray.recognition.opening import open_transcriber, recognise_part
from ds2ray.recognition.parts import ManifestPart
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.storage import Server, current_server
from ds2ray.store import Store, user_key
from ds2ray.store.keys import why_no_key
from ds2ray.tables.manifest import Utterance

WAIT_S = 1.0
"""Seconds after which the progress is told again, at the latest."""


@dataclass(frozen=True)
class Shared:
    """What all actors of a run are given.

    Attributes:
        outside: the server of `s3://` URIs outside the store, such as those of audio and parts.
        gpus: of each actor.
    """

    job: TranscribeJob
    store: Store
    outside: Server
    folder_uri: str
    gpus: float


class PartWorker:
    """An actor that recognises parts; the base is opened with the first one."""

    def __init__(self, shared: Shared) -> None:
        end_at_sigterm()
        storage.known_to_answer(shared.store.server, shared.outside)
        self.shared = shared
        self.keys: Mapping[str, str] = {}
        self.transcriber: Transcriber | None = None
        if assigned_device(shared.gpus).type == "cuda":
            torch.cuda.set_per_process_memory_fraction(min(1.0, shared.gpus))

    def work(self, part: ManifestPart, utterances: Sequence[Utterance], keys: Mapping[str, str]) -> None:
        """Recognise the utterances of a part and write its file.

        Args:
            keys: of the users of the part. They are the driver's, which alone has the salt that they may be made with.
        """
        self.keys = keys
        with ExitStack() as contexts:
            contexts.enter_context(storage.using(self.shared.outside))
            try:
                if self.transcriber is None:
                    self.transcriber = open_transcriber(self.shared.job, self.shared.store, self.key_of)
                uri = storage.join(self.shared.folder_uri, part.name)
                recognise_part(self.transcriber, utterances, uri, self.shared.job.text)
            except RuntimeError as error:
                if not is_device_lost(error):
                    raise
                raise DeviceLostError(f"the device is lost: {type(error).__name__}: {error}") from error

    def key_of(self, user_id: str) -> str:
        """The key of a user of the part. Raises InputError, as `user_key` does, for an id that cannot be a user's."""
        return self.keys.get(user_id) or user_key(user_id, salt="")


def recognise_on_ray(
    job: TranscribeJob,
    store: Store,
    folder_uri: str,
    parts: Sequence[ManifestPart],
    utterances: Sequence[Utterance],
    finished: Callable[[ManifestPart], None],
    waiting: Callable[[], None],
    worker: type[PartWorker] = PartWorker,
) -> dict[int, str]:
    """Recognise parts on the connected cluster, first come, first served; actors write them themselves.

    Args:
        utterances: all of the manifest.
        finished: told each part that is written.
        waiting: called every second.
        worker: class of the actors.

    Returns:
        for each part that was given up, by its number, the reason; the others are not stopped by it.

    Raises:
        StorageError: an actor could not reach the store.
    """
    gpus = job.spread.gpus_per_worker if cluster_gpus() > 0 else 0.0
    shared = Shared(job, store, current_server(), folder_uri, gpus)
    pool = _Pool(shared, worker)
    queue, attempts = deque(parts), Counter[int]()
    given_up: dict[int, str] = {}
    try:
        while queue or pool.running:
            while queue and len(pool.running) < pool.size:
                part = queue.popleft()
                attempts[part.number] += 1
                pool.start(part, utterances[part.start : part.end])
            for part, error in pool.ended():
                if error is None:
                    finished(part)
                elif _ends_its_actor(error) and attempts[part.number] < job.spread.max_attempts:
                    display.say(f"{part.name} is begun again: {told(error)}")
                    queue.appendleft(part)
                else:
                    given_up[part.number] = told(_of_the_part(error))
            waiting()
    finally:
        pool.close()
    return given_up


def _of_the_part(error: BaseException) -> BaseException:
    """The error, where it concerns this part alone. Raises StorageError where the store fails all of them."""
    ours = our_error(error)
    if isinstance(ours, StorageError) and not isinstance(ours, ArtifactCorruptError):
        raise ours
    return ours or error


class _Pool:
    """Actors, of which each has one part at a time; one that has died is replaced with the next part."""

    def __init__(self, shared: Shared, worker: type[PartWorker]) -> None:
        spread = shared.job.spread
        self.size = spread.max_workers or room_for_trials(spread.cpus_per_worker, spread.gpus_per_worker).trials
        self._shared = ray.put(shared)
        self._class = ray.remote(num_cpus=spread.cpus_per_worker, num_gpus=shared.gpus)(worker)
        self._idle: list[Any] = []
        self.running: dict[Any, tuple[Any, ManifestPart]] = {}  # by the reference to its result: the actor and the part

    def start(self, part: ManifestPart, utterances: Sequence[Utterance]) -> None:
        """Give the part to an idle actor, or to a new one."""
        actor: Any = self._idle.pop() if self._idle else self._class.remote(self._shared)
        self.running[actor.work.remote(part, utterances, keys_of(utterances))] = actor, part

    def ended(self) -> list[tuple[ManifestPart, BaseException | None]]:
        """The parts that came to an end meanwhile, with the error that ended them; waits a second for one."""
        done, _ = ray.wait(list(self.running), num_returns=1, timeout=WAIT_S)
        results: list[tuple[ManifestPart, BaseException | None]] = []
        for reference in done:
            actor, part = self.running.pop(reference)
            error = _error_of(reference)
            if error is not None and _ends_its_actor(error):
                ray.kill(actor)
            else:
                self._idle.append(actor)
            results.append((part, error))
        return results

    def close(self) -> None:
        """End all actors."""
        for actor in [*self._idle, *(actor for actor, _ in self.running.values())]:
            ray.kill(actor)


def _ends_its_actor(error: BaseException) -> bool:
    """Whether the actor is gone, or of no more use to other parts."""
    return not isinstance(error, RayTaskError) or isinstance(our_error(error), DeviceLostError)


def keys_of(utterances: Sequence[Utterance]) -> dict[str, str]:
    """The keys of all users who can have one."""
    users = {utterance.user_id for utterance in utterances}
    return {user: user_key(user) for user in users if not why_no_key(user)}


def _error_of(reference: Any) -> BaseException | None:
    """The error of a task: a RayTaskError where its code raised one, else its process or node is lost."""
    try:
        ray.get(reference)
    except RayError as error:
        return error
    return None
