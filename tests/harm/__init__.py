"""Programs that try to do harm, or to have some done to them; each module counts what it tried and what came of it."""
