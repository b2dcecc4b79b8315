"""Packs: Parquet files that hold utterances with their audio; what goes into which, and the making of them."""
