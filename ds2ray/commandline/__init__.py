"""The command line: `ds2ray adapt-users …`, and `python jobs/adapt_users.py …` of a checkout."""
