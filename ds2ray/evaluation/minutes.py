"""Minutes of speech that users' adapters learnt from, as the users table tells them."""

from ds2ray.config import DataConfig
from ds2ray.progress import Tell, untold
from ds2ray.shapes.shape import Shape
from ds2ray.tables.users import read_fleet, usable_users
from ds2ray.text import Vocabulary


def minutes_of_speech(
    users_uri: str, data: DataConfig, shape: Shape, vocabulary: Vocabulary, tell: Tell = untold
) -> dict[str, float]:
    """Minutes of usable speech by user: of the sealed rows of a table as these say, of the others as it is found.

    Raises:
        InputError: the table is missing, lacks columns, or has rows that are refused.
    """
    fleet = read_fleet(users_uri, data, tell)
    sealed = fleet.table.rows
    found = dict(zip(sealed["user_id"].to_pylist(), sealed["speech_s"].to_pylist(), strict=True))
    for user in usable_users(fleet.users, data=data, shape=shape, vocabulary=vocabulary, tell=tell):
        found[user.user_id] = sum(utterance.duration_s or 0.0 for utterance in user.utterances)
    return {user: seconds / 60 for user, seconds in found.items() if seconds > 0}
