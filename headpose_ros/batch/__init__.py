"""Many recordings to tables: `headpose batch`, on one core, one machine or a cluster.

From the words of a command to the tables:

- `inputs`: which recordings there are. `split`: which films are worked on in parts.
- `work`: one piece of work, from a recording to its tables: `images` reads, `look` finds the faces,
  `drive` judges the driver, `tables` writes. All three engines call it.
- `engines`: where pieces of work run: this process, several processes, Ray.
- `folder`: what is in the folder of the tables, and how results get there whole.
- `run`: hands out pieces of work, counts and reports.
- `schema`: every column of every table, with its unit.
"""
