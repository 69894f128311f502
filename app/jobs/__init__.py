"""Reviews as jobs: submitted, claimed, made, stored, followed, cancelled."""
