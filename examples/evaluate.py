"""Ask for whom recognition works, and what the adapters bring: `python examples/evaluate.py`."""

import json
from pathlib import Path

from ds2ray.commands import evaluate
from ds2ray.config import EvaluateJob, StorageConfig


def main() -> None:
    job = EvaluateJob(
        manifest="test.csv",  # speech that neither base nor adapters have learnt from
        by=["user_id", "duration_s"],
        users="users.csv",
        output_dir="evaluation",
        storage=StorageConfig(root="./store"),
    )
    code = evaluate.run(job)  # prints tables; evaluation/evaluation.html is for a browser
    assert code == 0
    found = json.loads(Path("evaluation/evaluation.json").read_text(encoding="utf-8"))
    for group in found["by"]["user_id"]:
        rates = {system: figures["wer"]["rate"] for system, figures in group["systems"].items()}
        print(group["name"], *(f"{system} {rate:.1%}" for system, rate in rates.items()))


if __name__ == "__main__":
    main()
