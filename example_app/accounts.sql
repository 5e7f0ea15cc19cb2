CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    password TEXT NOT NULL -- its hash
);
INSERT OR IGNORE INTO account VALUES -- the passwords are on the page for signing in
    ('ada', 'scrypt:32768:8:1$rxpe3Zcwc3YbO5Fa$3275b526fe34eeebe79812415f8f8fab15865b21d56df43a0bbb007ce7bfaef7bdfcf090d130af32a3a5f39ec567eda30c65d30b07caf7bec0b2a0652fa4cd84'),
    ('grace', 'scrypt:32768:8:1$8EwXgrJ8S0fqoLR8$0f6ff938d85c0947040173b8641ac3c1adca87d4dec56c0021bc4de897fc5fef4ad0053b9ec3a0ab6dcf3b6dcf8404f07f88fc96e1517aeaef2638d393125369'),
    ('', 'scrypt:32768:8:1$ABzJu1xdaO3TsBDa$b57d40cb33c116aa002b02ebff50ec2bccae741de7754b67b500bd80526aa2dd4b0dc41ff12cb7b082e3a6ddddf76a725d8a0ab23e6d85fdfe2673cfb75f678c'); -- nobody, with a password that nobody knows
