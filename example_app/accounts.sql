CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never the id of somebody who left
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password TEXT NOT NULL -- its hash
)
