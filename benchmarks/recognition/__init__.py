"""Recognition: decoders, own words, many users' adapters, speech as it is recorded."""
