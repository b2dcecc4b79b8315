"""`store erase` and `store export-user`: the rights of a person."""

from ds2ray import display, storage
from ds2ray.commands.upkeep.keeping import SOMETHING_WRONG
from ds2ray.commands.upkeep.versions import users_of
from ds2ray.config import StoreJob
from ds2ray.errors import ConfigError
from ds2ray.fleet.report import COMPLETE, TOO_MANY_FAILED
from ds2ray.naming import typed
from ds2ray.store import Store
from ds2ray.upkeep.erasing import Receipt, erase, lift
from ds2ray.upkeep.exporting import export_user

_MAX_SHOWN = 20


def erase_users(job: StoreJob, store: Store, users: list[str]) -> int:
    """Erase, print the receipt, and write it where that is wanted.

    Returns 0; 3 where the store knew nothing of a user; 4 where something still names one.
    """
    wanted = users_of(job, users, "erase")
    if job.lift:
        return _lift(job, store, wanted)
    if job.receipt and not job.receipt.endswith(".json"):
        raise ConfigError(f"receipt={job.receipt!r}: the name of a .json file is wanted")
    receipt = erase(
        store,
        wanted,
        folders=job.folders,
        scan=job.scan,
        dry_run=job.dry_run,
        tell=display.telling("erasing"),
    )
    _tell(receipt, wanted)
    if job.receipt and not job.dry_run:
        storage.write_json(storage.absolute(job.receipt), receipt.document(), store.server)
        display.say(f"receipt: {job.receipt}")
    if receipt.left:
        return SOMETHING_WRONG
    return TOO_MANY_FAILED if receipt.unknown else COMPLETE


def _lift(job: StoreJob, store: Store, wanted: dict[str, str]) -> int:
    lifted = lift(store, wanted, dry_run=job.dry_run)
    would = "would be" if job.dry_run else "are"
    display.say(f"{len(lifted)} of {len(wanted)} users had been erased, and {would} adapted again by the next run")
    return COMPLETE if len(lifted) == len(wanted) else TOO_MANY_FAILED


def _tell(receipt: Receipt, wanted: dict[str, str]) -> None:
    named = f"{len(wanted)} users" if len(wanted) != 1 else f"user {next(iter(wanted.values()))}"
    done = "would be erased (dry run, nothing is written)" if receipt.dry_run else "erased"
    display.say(f"{named} {done} from {receipt.store}")
    removed = receipt.erased
    for text in (
        f"{removed.objects} objects of {removed.size_bytes / 1000:.1f} KB: adapters, pointers, own words",
        f"{removed.index_rows} rows of the index, {removed.run_rows} rows of runs' plans and outcomes",
        f"{removed.documents} documents of runs that named them",
        f"{removed.packs} packs, {removed.pack_rows} rows of their tables",
        f"{removed.leftovers} temporary files of killed writes",
    ):
        if not text.startswith("0 ") or ", 0 " not in text:
            display.say(f"  {text}")
    for key in receipt.unknown[:_MAX_SHOWN]:
        display.say(
            f"  of user {wanted[key]} there was nothing: is the id spelt as in the users table, and is "
            "DS2RAY_USER_KEY_SALT that of the nightly run?"
        )
    if receipt.dry_run:
        return
    display.say("  a tombstone without an id keeps later runs from adapting them (lift=true allows it again)")
    for root, searched in receipt.searched.items():
        read = " · ".join(f"{count} .{kind}" for kind, count in sorted(searched.contents.items()))
        display.say(f"  searched {root}: {searched.names} names, contents of {read or 'nothing'}")
        if searched.unread:
            display.say(f"    by name alone: {sum(searched.unread.values())} objects in other users' folders")
    _tell_left(receipt)


def _tell_left(receipt: Receipt) -> None:
    if not receipt.left:
        display.say("  nothing is left that names them")
        return
    display.say(f"  {len(receipt.left)} objects still name them, and are none that ds2ray may change; remove them:")
    for uri, where in sorted(receipt.left.items())[:_MAX_SHOWN]:
        display.say(f"    {uri} (its {where})")
    if len(receipt.left) > _MAX_SHOWN:
        display.say(
            f"    … and {len(receipt.left) - _MAX_SHOWN} more: `{typed('store')} erase` again lists what is left"
        )


def export(job: StoreJob, store: Store, users: list[str]) -> int:
    """Write all that the store holds of a user.

    Raises:
        ConfigError: nobody, or several users are named, or no output.
        InputError: the store holds nothing of the user.
    """
    wanted = users_of(job, users, "export-user")
    if len(wanted) != 1:
        raise ConfigError(f"export-user is for one user at a time, and {len(wanted)} are named")
    ((key, user),) = wanted.items()
    if not job.output:
        raise ConfigError(f"where to? `{typed('store')} export-user {user} output={user}.zip`, or a folder")
    done = export_user(
        store,
        key,
        user,
        job.output,
        folders=job.folders,
        dry_run=job.dry_run,
        tell=display.telling("exporting"),
    )
    would = "would be written" if job.dry_run else "written"
    size = sum(done.files.values()) / 1000
    display.say(f"user {user}: {len(done.files)} files of {size:.1f} KB {would} to {done.output_uri}")
    if done.erased_on:
        display.say(f"  the user was erased on {done.erased_on}")
    for name, number in sorted(done.rows.items()):
        display.say(f"  {name}: {number} rows")
    return COMPLETE
