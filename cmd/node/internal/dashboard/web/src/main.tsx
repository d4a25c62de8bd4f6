import { render } from "preact";
import { App } from "./frame";
import { follow } from "./stream";
import { keepTheme } from "./theme";
import "./style.css";

keepTheme();
const root = document.getElementById("app")!;
root.replaceChildren();
render(<App />, root);
follow();
