"""The night before it happens: a discrete-event simulator that asks the production policy object."""
