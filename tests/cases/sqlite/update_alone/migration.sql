UPDATE users SET bio = 'x';
