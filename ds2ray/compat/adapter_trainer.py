"""AdapterTrainer: one user's adapter, trained on data sets and saved as one file."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from ds2ray.batching.batches import SpeechDataset, batches_by_seconds
from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.compat.names import check_adapter_name
from ds2ray.compat.own_optimizer import OwnOptimizer
from ds2ray.config import AdaptConfig, TrainConfig
from ds2ray.errors import ConfigError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.sound.audio import probe
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.adapters.memory import CPU_BATCH_S
from ds2ray.training.adapters.speech import (
    UserSpeech,
    further_of,
    has_further,
    tokens_of,
    user_seed,
    with_recordings,
)
from ds2ray.training.adapters.stack.bank import AdapterBank, StackOptimizer
from ds2ray.training.adapters.stack.stacked import StackedTraining, train_one
from ds2ray.training.optim import Criterion, ctc_losses

Model = TypeVar("Model", bound=AcousticModel)

log = logging.getLogger(__name__)


class AdapterTrainer:
    """Trains one user's adapter on data sets, as a stack of one: their speech is encoded once, then trained on.

    The same seed gives the same adapter as a cohort does, within floating-point tolerance.

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
            TrainingDivergedError: no step of an epoch had a finite loss and gradient.
        """
        if model.adapter is None:
            raise ConfigError("the model has no adapter: build it with use_adapter=True, or call add_adapter")
        check_adapter_name(adapter_name)
        model.to(self.device).freeze_base_model()
        # KoSpeech's constructor takes no audio settings: those of the data sets count
        model.shape = replace(model.shape, audio=self.validset.audio)
        config = replace(self.config, batch_size=batch_size, num_epochs=num_epochs)
        if self.optimizer is not None:
            config = replace(config, learning_rate=self.optimizer.param_groups[0]["lr"])
        adapter = model.adapter
        self.fit = train_one(
            StackedTraining(
                model,
                [adapter],
                [self._speech(model, adapter_name, user_seed(adapter_name, config))],
                self.vocab,
                config,
                model.adapter_layer,
                optimizer=self._own_optimizer(adapter),
                criterion=self.criterion,
                max_steps_per_epoch=epoch_time_step,
            )
        )
        adapter.load_state_dict(self.fit.state)
        path = AdapterManager().save_adapter(model, self.adapter_save_dir, adapter_name)
        log.info(
            "adapter %s: held-out loss %.3f → %.3f, saved %s",
            adapter_name,
            self.fit.loss_before,
            self.fit.loss_after,
            path,
        )
        return model

    def _own_optimizer(self, adapter: Adapter) -> Callable[[AdapterBank], StackOptimizer] | None:
        optimizer = self.optimizer
        if optimizer is None:
            return None
        return lambda bank: OwnOptimizer(optimizer, adapter, bank, self.config.max_grad_norm)

    def _speech(self, model: AcousticModel, user_key: str, seed: int) -> UserSpeech:
        datasets = [*self.trainset_list, self.validset]
        num_train = sum(map(len, self.trainset_list))
        places = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
        utterances = [dataset.utterances[index] for dataset, index in places]
        transcripts = [utterance.transcript for utterance in utterances]

        def waveform(row: int) -> Tensor:
            dataset, index = places[row]
            return dataset[index].waveform

        speech = UserSpeech(
            user_key=user_key,
            seed=seed,
            frames=self._encoded(model, waveform, [_duration_s(utterance) for utterance in utterances]),
            tokens=tokens_of(self.vocab, transcripts),
            transcripts=transcripts,
            parts=[Part(range(num_train), range(num_train, len(transcripts)))],
        )
        if not has_further(model, model.adapter_layer, self.config):
            return speech
        made = further_of(speech, utterances, model.shape.frame_s)
        recordings = [one.recording for one in made]

        def recorded(number: int) -> Tensor:
            spoken = [waveform(row).numpy() for row in recordings[number].rows]
            return torch.from_numpy(recordings[number].waveform(spoken, model.shape.audio.sample_rate_hz))

        encodings = self._encoded(model, recorded, [one.duration_s for one in made])
        return with_recordings(speech, recordings, encodings, self.vocab.space)

    @torch.no_grad()
    def _encoded(
        self, model: AcousticModel, waveform: Callable[[int], Tensor], durations_s: Sequence[float]
    ) -> list[Tensor]:
        """Encodings [T, D] of recordings.

        Args:
            waveform: gives that of a recording, float32 [S].
            durations_s: of the recordings.
        """
        frames: dict[int, Tensor] = {}
        with ThreadPoolExecutor(self.num_workers) as pool:
            for rows in batches_by_seconds(durations_s, CPU_BATCH_S):
                waveforms = list(pool.map(waveform, rows))
                num_samples = torch.tensor([len(samples) for samples in waveforms], device=self.device)
                padded = nn.utils.rnn.pad_sequence(waveforms, batch_first=True).to(self.device)
                encodings, lengths = model.trunk(*model.features(padded, num_samples), model.adapter_layer)
                for row, own, length in zip(rows, encodings, lengths.tolist(), strict=True):
                    frames[row] = own[:length].clone()
        return [frames[row] for row in range(len(durations_s))]


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
