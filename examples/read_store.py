"""Read what a store holds, bases, users and their adapters, without torch: `python examples/read_store.py`."""

from ds2ray.store import Store, history, list_bases, read_adapter, read_base_record, read_pointer
from ds2ray.store.index import read_index
from ds2ray.store.keys import shown_user


def main() -> None:
    store = Store("./store")
    newest = read_base_record(store)
    print(f"bases: {', '.join(list_bases(store))}; the newest is {newest.base_id}, of run {newest.run_id}")
    for key, row in read_index(store).items():
        pointer = read_pointer(store, key)
        if pointer is None:
            print(f"{shown_user(key)}: no adapter ({row.status.value})")
            continue
        weights = read_adapter(store, pointer)  # verified: raises where they have changed since they were published
        versions = ", ".join(entry["version"] for entry in history(store, key))
        print(f"{shown_user(key)}: {len(weights)} bytes of run {pointer.run_id}; versions {versions}")


if __name__ == "__main__":
    main()
