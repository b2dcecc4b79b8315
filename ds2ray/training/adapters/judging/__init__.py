"""How good an adapter is: the split of speech, held-out loss and errors, the gate."""
