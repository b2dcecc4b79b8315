"""TensorBoard files of a training, in a folder of this machine or uploaded to a bucket."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ds2ray import storage
from ds2ray.errors import StorageError
from ds2ray.storage.errors import reporting


class Board:
    """TensorBoard files in `<output_dir>/tensorboard`; at the end of the context they are complete.

    For a remote `output_dir` they are written to a temporary folder, and `upload` copies them.

    Args:
        say: told when the upload fails; training goes on.
    """

    def __init__(self, output_dir: str, say: Callable[[str], None]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only rank 0 needs it

        self.uri, self.say = storage.join(output_dir, "tensorboard"), say
        self.temporary = None if storage.is_local(self.uri) else tempfile.mkdtemp(prefix="ds2ray-tensorboard-")
        with reporting(self.uri, "write"):
            self.writer = SummaryWriter(self.temporary or storage.local_path(self.uri))

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()
        self.upload()
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Write values by name."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def describe(self, sections: Mapping[str, Any], texts: bool) -> None:
        """Write the settings of the training as a table.

        Args:
            sections: dataclasses by name.
            texts: whether settings that are texts may stand there, such as the places of speech.
        """
        settings = (one for name, section in sections.items() for one in named_settings(name, section))
        rows = [f"| {name} | {value} |" for name, value in settings if texts or not isinstance(value, str)]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))
        self.writer.flush()

    def upload(self) -> None:
        """Copy the files to a remote `output_dir`; a local one has them already."""
        if self.temporary is None:
            return
        try:
            for name in os.listdir(self.temporary):
                written = storage.read_bytes(os.path.join(self.temporary, name))
                storage.write_bytes(storage.join(self.uri, name), written)
        except StorageError as error:
            self.say(f"TensorBoard's files are not up to date: {error}")


def named_settings(name: str, section: Any) -> Iterator[tuple[str, object]]:
    """`train.num_epochs` and its value, …, of a dataclass and of those within it."""
    for field in fields(section):
        value = getattr(section, field.name)
        if is_dataclass(value):
            yield from named_settings(f"{name}.{field.name}", value)
        else:
            yield f"{name}.{field.name}", value.name if isinstance(value, Enum) else value
