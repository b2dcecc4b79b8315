"""Kustomizations rendered without kustomize: as much of it as k8s/ uses; anything else in them is refused."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "replacements"}


@functools.cache
def _text(path: Path) -> str:
    return path.read_text()


def load(path: Path) -> list[Document]:
    """The documents of a YAML file, by libyaml's parser: KubeRay's definitions have megabytes."""
    return [document for document in yaml.load_all(_text(path), Loader=yaml.CSafeLoader) if document]


def render(folder: Path) -> list[Document]:
    """The resources that `kubectl kustomize` makes of a folder, in the order of its files."""
    documents: list[Document] = []
    _apply(folder, documents)
    return documents


def _apply(folder: Path, documents: list[Document]) -> None:
    """Add a kustomization's resources to those that are there, then its components, patches and replacements."""
    (kustomization,) = load(folder / "kustomization.yaml")
    assert kustomization.keys() <= _KNOWN, kustomization.keys() - _KNOWN
    for resource in kustomization.get("resources", []):
        path = folder / resource
        documents += render(path) if path.is_dir() else [_without_aliases(document) for document in load(path)]
    for component in kustomization.get("components", []):
        _apply(folder / component, documents)
    for patch in kustomization.get("patches", []):
        patched = [document for document in documents if _is_selected(document, patch["target"])]
        assert patched, f"{folder}: no resource for the patch of {patch['target']}"
        for document in patched:
            for operation in yaml.safe_load(patch["patch"]):
                _patch(document, operation)
    for replacement in kustomization.get("replacements", []):
        _replace(replacement, documents)
    if namespace := kustomization.get("namespace"):
        for document in documents:
            _put_into(document, namespace)


def _without_aliases(document: Document) -> Document:
    """A copy in which an anchor's content stands once for each alias, so that a patch changes one of them."""
    return json.loads(json.dumps(document))


def _is_selected(document: Document, selector: dict[str, str]) -> bool:
    assert selector.keys() <= {"kind", "name"}
    return (
        document["kind"] == selector["kind"]
        and selector.get("name", document["metadata"]["name"]) == (document["metadata"]["name"])
    )


def _patch(document: Document, operation: Document) -> None:
    """Apply an operation of JSON Patch (RFC 6902)."""
    *parents, last = operation["path"].removeprefix("/").split("/")
    node: Any = document
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    value = copy.deepcopy(operation["value"])
    if isinstance(node, list):
        assert (operation["op"], last) == ("add", "-")
        node.append(value)
    else:
        assert operation["op"] == "add" or (operation["op"] == "replace" and last in node)
        node[last] = value


def _replace(replacement: Document, documents: list[Document]) -> None:
    selector = {key: value for key, value in replacement["source"].items() if key != "fieldPath"}
    (source,) = (document for document in documents if _is_selected(document, selector))
    value: Any = source
    for name in replacement["source"]["fieldPath"].split("."):
        value = value[name]
    for target in replacement["targets"]:
        selected = [document for document in documents if _is_selected(document, target["select"])]
        assert selected, f"no resource for {target['select']}"
        for document in selected:
            for path in target["fieldPaths"]:
                made = _set(document, _names(path), value, create=target.get("options", {}).get("create", False))
                assert made, f"{document['kind']} has no {path}"


def _names(path: str) -> list[str]:
    """The names of a field's path; one with dots in it stands in brackets."""
    before, _, bracketed = path.partition(".[")
    return [*before.split("."), bracketed.removesuffix("]")] if bracketed else before.split(".")


def _set(node: Any, names: list[str], value: Any, create: bool) -> int:
    """Set a field wherever the path leads; returns how many were set. A scalar keeps the type that it has."""
    name, *rest = names
    if isinstance(node, list):
        assert name == "*"
        return sum(_set(item, rest, value, create) for item in node)
    if rest:
        if create:
            node.setdefault(name, {})
        return _set(node[name], rest, value, create)
    assert create or name in node, name
    node[name] = type(node[name])(value) if isinstance(node.get(name), int) else copy.deepcopy(value)
    return 1


def _put_into(document: Document, namespace: str) -> None:
    if document["kind"] == "Namespace":
        document["metadata"]["name"] = namespace
        return
    if document["kind"] != "PriorityClass":  # of the whole cluster
        document["metadata"]["namespace"] = namespace
    for subject in document.get("subjects", []):
        subject["namespace"] = namespace
