"""A stack of adapters that train together: its parameters, optimizer, order of rows and steps."""
