"""Models of what is said: n-grams, their files, and the sentences that they are made of."""
