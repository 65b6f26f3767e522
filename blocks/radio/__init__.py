"""Radio front ends that replace the channel and target blocks: one interface, several backends."""
