// The page's beginning: styles, the search, the shell.

import "./app.css";
import { render } from "preact";
import { App } from "./parts/Shell.tsx";
import { startLookingForHoles } from "./state/holes.ts";
import { listenForKeys } from "./state/keys.ts";
import { startSearching } from "./state/search.ts";

startSearching();
startLookingForHoles();
listenForKeys();
render(<App />, document.getElementById("app")!);
