"""Who may write to a store: the identity of a lease's holder, the record of the lease, whether it lives, the fence."""
