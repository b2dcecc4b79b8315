"""Numbers, dates, units and abbreviations of transcripts in words, and words as digits for display."""
