"""Reviews as jobs: accepted, claimed, made, written down; waited for, resumed, cancelled."""
