"""Who reads what: one pure policy object, called by the live decider, shadow mode, what-if and the simulator alike."""
