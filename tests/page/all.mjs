// Runs the tests of the page one after the other: one server, one browser.
for (const name of process.argv.length > 2 ? process.argv.slice(2) : ["chat", "media", "markdown", "settings", "access"]) await import(`./${name}_test.mjs`);
