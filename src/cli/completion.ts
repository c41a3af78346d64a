/** `pinion completion`: scripts by which shells complete. They ask the command (`pinion suggest`), so they never grow old. */
import type { Shell } from './commands/help.ts';
import { print } from './standard-output.ts';

// What is on the line is split at spaces alone: bash itself would also split unix:/path at the colon.
const bash = `# bash completion for pinion; it asks the command itself
_pinion() {
    local line="\${COMP_LINE:0:COMP_POINT}" current word
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="\${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    while IFS=$'\\t' read -r word _; do
        if [[ $word == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
        else
            COMPREPLY+=("$word")
        fi
    done < <("\${words[0]}" suggest -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _pinion pinion
`;

const zsh = `#compdef pinion
# zsh completion for pinion; it asks the command itself
_pinion() {
    local line
    local -a described
    for line in "\${(@f)$("\${words[1]}" suggest -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files* ]]; then
            _files
        elif [[ -n $line ]]; then
            described+=("\${\${line%%$'\\t'*}//:/\\\\:}\${\${line#*$'\\t'}:+:\${line#*$'\\t'}}")
        fi
    done
    (( $#described )) && _describe pinion described
}
if [[ \${funcstack[1]} == _pinion ]]; then _pinion "$@"; else compdef _pinion pinion; fi
`;

const fish = `# fish completion for pinion; it asks the command itself
function __pinion_suggest
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] suggest -- $words[2..-1] "$current" 2>/dev/null
end
complete -c pinion -f -a '(__pinion_suggest | string match -v ":files*")'
complete -c pinion -n '__pinion_suggest | string match -q ":files*"' -F
`;

const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };

export function printCompletion(shell: Shell): void {
  print(scripts[shell]);
}
