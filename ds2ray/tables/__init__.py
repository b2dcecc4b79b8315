"""Tables: manifests of utterances, tables of users, and what is wrong with their rows."""
