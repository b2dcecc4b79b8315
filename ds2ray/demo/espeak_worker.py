"""The program of the process that speaks: one JSON request a line on stdin, PCM on stdout. Standard library only.

espeak-ng keeps state between utterances (flutter, echo, noise), not all of which its own reset reaches. Every
utterance is therefore spoken by a fork of a process that has never spoken: its sound depends on its request alone.
The process has one thread, so forking it is safe, and a crash in the library ends only a fork.

A request is `[text, voice name, rate in words a minute, pitch, pitch range]`; a reply is the number of bytes
(uint32, little-endian) and as many bytes of 16-bit little-endian mono PCM. The first reply, before any request, is
the sample rate alone. A request that is refused ends the process with REFUSED_STATUS and one line on stderr.
"""

import ctypes
import json
import os
import struct
import sys
from typing import NoReturn

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
RATE, PITCH, RANGE = 1, 3, 4
UNKNOWN_VOICE_STATUS, FAILED_STATUS = 3, 4  # of a fork
REFUSED_STATUS = 3

SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main(library_path: str, data_path: str) -> None:
    library = ctypes.CDLL(library_path)
    sample_rate_hz = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), 0)
    if sample_rate_hz <= 0:
        sys.exit(f"espeak-ng does not start with the data in {data_path}")
    replies = sys.stdout.buffer
    replies.write(struct.pack("<I", sample_rate_hz))
    for line in sys.stdin.buffer:
        pcm = _speak_in_fork(library, *json.loads(line))
        replies.write(struct.pack("<I", len(pcm)) + pcm)


def _speak_in_fork(library: ctypes.CDLL, text: str, voice: str, rate_wpm: int, pitch: int, pitch_range: int) -> bytes:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = FAILED_STATUS
        try:
            os.close(read_end)
            parameters = ((RATE, rate_wpm), (PITCH, pitch), (RANGE, pitch_range))
            status = _speak(library, text, voice, parameters, write_end)
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        pcm = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == UNKNOWN_VOICE_STATUS:
        _refuse(f"espeak-ng has no voice {voice!r}")
    if status != 0:
        _refuse(f"espeak-ng cannot say {text!r} with the voice {voice!r} (status {status})")
    return pcm


def _refuse(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(REFUSED_STATUS)


def _speak(library: ctypes.CDLL, text: str, voice: str, parameters: tuple[tuple[int, int], ...], write_end: int) -> int:
    pcm = bytearray()

    def collect(samples: int | None, num_samples: int, events: int | None) -> int:
        if samples and num_samples > 0:
            pcm.extend(ctypes.string_at(samples, 2 * num_samples))
        return 0

    callback = SynthCallback(collect)
    library.espeak_SetSynthCallback(callback)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of breath and noise; the library seeds them by the clock
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        return UNKNOWN_VOICE_STATUS
    for parameter, value in parameters:
        if library.espeak_SetParameter(parameter, value, 0) != 0:
            return FAILED_STATUS
    data = text.encode() + b"\0"
    if library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, CHARS_UTF8, None, None) != 0 or not pcm:
        return FAILED_STATUS
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(pcm)
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
