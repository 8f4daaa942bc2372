//! No schema may lead back to itself without a step into the value: such a check has no end.

use super::{DEPTH_MAX, Node, Rule};

/// What is wrong with the way that schemas apply each other to one and the same value.
pub(super) enum Loop {
    /// This node is on a way that leads back to it, and has a `$ref`.
    At(usize),
    TooLong,
}

/// Takes away, again and again, the nodes that lead to none that is left. A loop is what remains; else the round in
/// which a node went is the length of the longest way from it.
pub(super) fn find(nodes: &[Node]) -> Option<Loop> {
    let mut targets = Vec::new();
    let mut sources = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let own = in_place(node);
        for target in &own {
            sources[*target].push(at);
        }
        targets.push(own);
    }
    let mut open: Vec<usize> = targets.iter().map(Vec::len).collect();
    let mut heights = vec![0; nodes.len()];
    let mut leaves: Vec<usize> = (0..nodes.len()).filter(|at| open[*at] == 0).collect();
    while let Some(leaf) = leaves.pop() {
        for source in &sources[leaf] {
            heights[*source] = heights[*source].max(heights[leaf] + 1);
            open[*source] -= 1;
            if open[*source] == 0 {
                leaves.push(*source);
            }
        }
    }
    if let Some(stuck) = open.iter().position(|open| *open > 0) {
        return Some(Loop::At(on_the_loop(nodes, &targets, &open, stuck)));
    }
    heights.iter().any(|height| *height > DEPTH_MAX).then_some(Loop::TooLong)
}

/// What is stuck leads to a loop; after as many steps as there are nodes the walk is on it, and a loop has a `$ref`,
/// because all other ways lead down the tree.
fn on_the_loop(nodes: &[Node], targets: &[Vec<usize>], open: &[usize], stuck: usize) -> usize {
    let mut at = stuck;
    for step in 0..2 * nodes.len() {
        if step >= nodes.len() && nodes[at].rules.iter().any(|rule| matches!(rule, Rule::Ref(_))) {
            break;
        }
        at = targets[at].iter().copied().find(|target| open[*target] > 0).unwrap_or(at);
    }
    at
}

/// The nodes that a node applies to its own value.
fn in_place(node: &Node) -> Vec<usize> {
    let mut targets = Vec::new();
    for rule in &node.rules {
        match rule {
            Rule::Ref(target) | Rule::Not(target) => targets.push(*target),
            Rule::All(parts) | Rule::Any(parts) | Rule::One(parts) => targets.extend(parts),
            Rule::If { condition, then, otherwise } => {
                targets.push(*condition);
                targets.extend(then);
                targets.extend(otherwise);
            }
            Rule::Object(object) => targets.extend(object.dependent_schemas.iter().map(|(_, schema)| schema)),
            _ => {}
        }
    }
    targets
}
