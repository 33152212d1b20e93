// Loaded in the head without "defer": the theme is set before the first paint.
try { document.documentElement.dataset.theme = localStorage.theme || "system"; } catch { /* storage is blocked: follow the computer */ }
