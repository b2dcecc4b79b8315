"""AdapterTrainer: one user's adapter, trained on data sets and saved as one file."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from ds2ray.batching.batches import SpeechDataset, collate
from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.compat.names import check_adapter_name
from ds2ray.config import AdaptConfig, TrainConfig
from ds2ray.errors import ConfigError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.sound.audio import probe
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.fit import AdapterFit, Criterion, UserSpeech, fit_adapter
from ds2ray.training.adapters.split import Part
from ds2ray.training.optim import ctc_losses
from ds2ray.training.seeds import derive_seed

Model = TypeVar("Model", bound=AcousticModel)

log = logging.getLogger(__name__)


class AdapterTrainer:
    """Trains one user's adapter on data sets, with the frozen base run again for every batch.

    The reference for training whole cohorts on stored encodings: the same seed gives the same adapter.

    Args:
        optimizer: over the adapter's parameters; its rate is the highest of a one-cycle schedule. None: AdamW.
        criterion: an `nn.CTCLoss` with blank 0, or None for the default.
        trainset_list: data sets to train on, one after another.
        validset: held-out speech for early stopping.
        num_workers: threads that decode audio.
        vocab: of the base.
        adapter_save_dir: receives `<adapter_name>_adapter.pt`.
        config: patience, clipping and, without an optimizer, rate and weight decay.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        criterion: nn.CTCLoss | None = None,
        trainset_list: Sequence[SpeechDataset] = (),
        validset: SpeechDataset | None = None,
        num_workers: int = 1,
        device: torch.device | str = "cpu",
        vocab: Vocabulary | None = None,
        adapter_save_dir: str = TrainConfig.adapter_save_dir,
        config: AdaptConfig | None = None,
    ) -> None:
        if not trainset_list or validset is None or vocab is None:
            raise ConfigError("AdapterTrainer needs trainset_list, validset and vocab")
        self.optimizer = optimizer
        self.criterion = ctc_losses if criterion is None else _rows_of(criterion)
        self.trainset_list = list(trainset_list)
        self.validset = validset
        self.num_workers = max(1, num_workers)
        self.device = torch.device(device)
        self.vocab = vocab
        self.adapter_save_dir = adapter_save_dir
        self.config = config or AdaptConfig()
        self.fit: AdapterFit | None = None

    def train(self, model: Model, batch_size: int, epoch_time_step: int, num_epochs: int, adapter_name: str) -> Model:
        """Train the model's adapter and save it; returns the model with the adapter's best weights.

        Args:
            batch_size: utterances per step.
            epoch_time_step: steps per epoch, at most.
            num_epochs: passes over the training data, at most.
            adapter_name: the user: names the file, and seeds data order and dropout.

        Raises:
            ConfigError: the model has no adapter.
            InputError: `adapter_name` cannot name a file.
            TrainingDivergedError: see `fit_adapter`.
        """
        if model.adapter is None:
            raise ConfigError("the model has no adapter: build it with use_adapter=True, or call add_adapter")
        check_adapter_name(adapter_name)
        model.to(self.device).freeze_base_model()
        # KoSpeech's constructor takes no audio settings: those of the data sets count
        model.shape = replace(model.shape, audio=self.validset.audio)
        after_layer = model.adapter_layer
        with ThreadPoolExecutor(self.num_workers) as pool:
            self.fit = fit_adapter(
                model,
                model.adapter,
                self._speech(model, pool),
                self.vocab,
                replace(self.config, batch_size=batch_size, num_epochs=num_epochs),
                seed=derive_seed(self.config.seed, adapter_name),
                after_layer=after_layer,
                optimizer=self.optimizer,
                criterion=self.criterion,
                max_steps_per_epoch=epoch_time_step,
            )
        path = AdapterManager().save_adapter(model, self.adapter_save_dir, adapter_name)
        log.info(
            "adapter %s: held-out loss %.3f → %.3f, saved %s",
            adapter_name,
            self.fit.loss_before,
            self.fit.loss_after,
            path,
        )
        return model

    def _speech(self, model: AcousticModel, pool: ThreadPoolExecutor) -> UserSpeech:
        datasets = [*self.trainset_list, self.validset]
        sample_rate_hz = self.validset.audio.sample_rate_hz
        places = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
        utterances = [dataset.utterances[index] for dataset, index in places]

        @torch.no_grad()
        def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
            batch = collate(list(pool.map(lambda row: places[row][0][places[row][1]], rows))).to(self.device)
            encodings, lengths = model.trunk(*model.features(batch.waveforms, batch.num_samples))
            return encodings, lengths

        num_train = len(utterances) - len(self.validset)
        return UserSpeech(
            encode=encode,
            # in encoding frames, as in a cohort, so that both draw the same batches
            durations=[model.shape.encoding_frames(round(_duration_s(u) * sample_rate_hz)) for u in utterances],
            tokens=[torch.tensor(self.vocab.encode_known(u.transcript), dtype=torch.int64) for u in utterances],
            transcripts=[utterance.transcript for utterance in utterances],
            parts=[Part(range(num_train), range(num_train, len(utterances)))],
        )


def _duration_s(utterance: Utterance) -> float:
    return probe(utterance.audio).duration_s if utterance.duration_s is None else utterance.duration_s


def _rows_of(criterion: nn.CTCLoss) -> Criterion:
    """A CTC criterion as losses by row; a criterion that reduces over the batch gives every row the same loss."""

    def losses(log_probs: Tensor, lengths: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
        loss: Tensor = criterion(log_probs.transpose(0, 1), tokens, lengths, num_tokens)
        if criterion.reduction == "none":
            return loss / num_tokens.clamp(min=1)
        if criterion.reduction == "sum":
            loss = loss / num_tokens.sum()
        return loss.expand(len(lengths))

    return losses
