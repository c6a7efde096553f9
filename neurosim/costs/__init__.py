"""What a run costs beside its counters: counts by core, time, terms of others, the same network as an artificial one."""
